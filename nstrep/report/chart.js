"use strict";
// Curves on a canvas, with zoom, hover, and a click that opens a run. It uses nothing of the page but
// the elements that it is given.

function makeChart(canvas, tip, open) {
  const MARGIN = { left: 62, right: 14, top: 12, bottom: 40 };
  let series = [], logarithmic = true, label = "", floor = 0, whole = null, view = null, near = null, drag = null;

  const usable = (y) => y !== null && (!logarithmic || y > floor);
  const scale = (y) => (logarithmic ? Math.log10(y) : y);

  function extent() {
    let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
    for (const one of series) one.y.forEach((y, i) => {
      if (!usable(y)) return;
      x0 = Math.min(x0, one.x[i]); x1 = Math.max(x1, one.x[i]);
      y0 = Math.min(y0, scale(y)); y1 = Math.max(y1, scale(y));
    });
    if (x0 > x1) return null;
    const margin = (y1 - y0) * 0.04 || 0.1;
    return { x0, x1: x1 > x0 ? x1 : x0 + 1, y0: y0 - margin, y1: y1 + margin };
  }

  const size = () => ({ width: canvas.clientWidth, height: canvas.clientHeight });
  function toPixels(x, y) {
    const { width, height } = size();
    return [
      MARGIN.left + ((x - view.x0) / (view.x1 - view.x0)) * (width - MARGIN.left - MARGIN.right),
      height - MARGIN.bottom - ((y - view.y0) / (view.y1 - view.y0)) * (height - MARGIN.top - MARGIN.bottom),
    ];
  }
  function fromPixels(px, py) {
    const { width, height } = size();
    return [
      view.x0 + ((px - MARGIN.left) / (width - MARGIN.left - MARGIN.right)) * (view.x1 - view.x0),
      view.y0 + ((height - MARGIN.bottom - py) / (height - MARGIN.top - MARGIN.bottom)) * (view.y1 - view.y0),
    ];
  }

  function steps(low, high, wanted) {
    const rough = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
    const ticks = [];
    for (let n = Math.ceil(low / step); n * step <= high; n++) ticks.push(n * step);
    return ticks;
  }
  function ticksOf(low, high) {
    if (!logarithmic) return steps(low, high, 5).map((y) => [y, y]);
    if (high - low < 0.3) return steps(10 ** low, 10 ** high, 5).map((y) => [Math.log10(y), y]);
    const ticks = [], parts = high - low < 3 ? [1, 2, 5] : [1];
    const every = Math.max(1, Math.round((high - low) / 8));
    for (let power = Math.floor(low); power <= high; power++)
      if (power % every === 0) for (const part of parts) {
        const y = power + Math.log10(part);
        if (y >= low && y <= high) ticks.push([y, part * 10 ** power]);
      }
    return ticks;
  }
  const written = (n) => (n !== 0 && (Math.abs(n) < 1e-3 || Math.abs(n) >= 1e5) ? n.toExponential(0) : String(+n.toPrecision(3)));

  function draw() {
    const ratio = window.devicePixelRatio || 1, { width, height } = size();
    if (!width) return;
    canvas.width = width * ratio; canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const style = getComputedStyle(canvas), ink = style.getPropertyValue("--quiet"), line = style.getPropertyValue("--line");
    pen.font = "12px " + style.fontFamily;
    pen.fillStyle = ink;
    if (!view) { pen.fillText("no run that is shown has such values", MARGIN.left, height / 2); return; }
    pen.strokeStyle = line; pen.lineWidth = 1; pen.textBaseline = "middle"; pen.textAlign = "right";
    for (const [y, value] of ticksOf(view.y0, view.y1)) {
      const py = Math.round(toPixels(0, y)[1]) + 0.5;
      pen.beginPath(); pen.moveTo(MARGIN.left, py); pen.lineTo(width - MARGIN.right, py); pen.stroke();
      pen.fillText(written(value), MARGIN.left - 8, py);
    }
    pen.textAlign = "center"; pen.textBaseline = "top";
    for (const x of steps(view.x0, view.x1, Math.max(2, width / 130))) {
      const px = Math.round(toPixels(x, 0)[0]) + 0.5;
      pen.beginPath(); pen.moveTo(px, MARGIN.top); pen.lineTo(px, height - MARGIN.bottom); pen.stroke();
      pen.fillText(written(x), px, height - MARGIN.bottom + 6);
    }
    pen.fillText("epoch", MARGIN.left + (width - MARGIN.left - MARGIN.right) / 2, height - 16);
    pen.save(); pen.translate(6, MARGIN.top + (height - MARGIN.top - MARGIN.bottom) / 2); pen.rotate(-Math.PI / 2);
    pen.fillText(label, 0, 0); pen.restore();
    pen.save();
    pen.beginPath(); pen.rect(MARGIN.left, MARGIN.top, width - MARGIN.left - MARGIN.right, height - MARGIN.top - MARGIN.bottom); pen.clip();
    const one = (item, wide, alpha) => {
      pen.strokeStyle = item.colour; pen.lineWidth = wide; pen.globalAlpha = alpha; pen.setLineDash(item.dash);
      pen.beginPath();
      let down = false;
      item.y.forEach((y, i) => {
        if (!usable(y)) { down = false; return; }
        const [px, py] = toPixels(item.x[i], scale(y));
        if (down) pen.lineTo(px, py); else pen.moveTo(px, py);
        down = true;
      });
      pen.stroke();
    };
    const faint = near ? 0.25 : series.length > 40 ? 0.55 : 0.9;
    for (const item of series) if (!near || item !== near.item) one(item, 1.6, faint);
    if (near) {
      one(near.item, 3, 1);
      const [px, py] = toPixels(near.item.x[near.i], scale(near.item.y[near.i]));
      pen.globalAlpha = 1; pen.setLineDash([]); pen.fillStyle = near.item.colour;
      pen.beginPath(); pen.arc(px, py, 5, 0, 7); pen.fill();
    }
    if (drag && drag.now) {
      pen.globalAlpha = 0.2; pen.fillStyle = ink; pen.setLineDash([]);
      pen.fillRect(Math.min(drag.at[0], drag.now[0]), Math.min(drag.at[1], drag.now[1]), Math.abs(drag.at[0] - drag.now[0]), Math.abs(drag.at[1] - drag.now[1]));
    }
    pen.restore();
  }

  const place = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };

  function hover(at) {
    near = null;
    let best = 30 * 30;
    if (view && at) for (const item of series) item.y.forEach((y, i) => {
      if (!usable(y)) return;
      const [px, py] = toPixels(item.x[i], scale(y)), far = (px - at[0]) ** 2 + (py - at[1]) ** 2;
      if (far < best) { best = far; near = { item, i }; }
    });
    tip.hidden = !near;
    if (near) {
      tip.textContent = `${near.item.name}: epoch ${near.item.x[near.i]}, ${label} ${near.item.y[near.i]}`;
      const { width } = size(), right = at[0] > width / 2;
      tip.style.left = right ? "auto" : `${at[0] + 16}px`;
      tip.style.right = right ? `${width - at[0] + 16}px` : "auto";
      tip.style.top = `${Math.max(4, at[1] - 30)}px`;
    }
    draw();
  }

  function zoom(factor, at) {
    if (!view) return;
    const [x, y] = at ? fromPixels(...at) : [(view.x0 + view.x1) / 2, (view.y0 + view.y1) / 2];
    const next = { x0: x + (view.x0 - x) * factor, x1: x + (view.x1 - x) * factor, y0: y + (view.y0 - y) * factor, y1: y + (view.y1 - y) * factor };
    if (next.x1 - next.x0 > (whole.x1 - whole.x0) * 1.01) return reset();
    view = next; draw();
  }
  function move(dx, dy) {
    if (!view) return;
    const wide = (view.x1 - view.x0) * dx, high = (view.y1 - view.y0) * dy;
    view = { x0: view.x0 + wide, x1: view.x1 + wide, y0: view.y0 + high, y1: view.y1 + high };
    draw();
  }
  function reset() { view = whole && { ...whole }; draw(); }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && view) { drag = { at: place(event), now: null }; canvas.setPointerCapture(event.pointerId); }
  });
  canvas.addEventListener("pointermove", (event) => {
    const at = place(event);
    if (drag && Math.hypot(at[0] - drag.at[0], at[1] - drag.at[1]) > 6) { drag.now = at; near = null; tip.hidden = true; draw(); }
    else if (!drag) hover(at);
  });
  canvas.addEventListener("pointerup", (event) => {
    const done = drag;
    drag = null;
    if (done && done.now) {
      const [a, b] = [fromPixels(...done.at), fromPixels(...done.now)];
      // A drag along one axis enlarges only that axis.
      if (Math.abs(done.at[0] - done.now[0]) > 12) { view.x0 = Math.min(a[0], b[0]); view.x1 = Math.max(a[0], b[0]); }
      if (Math.abs(done.at[1] - done.now[1]) > 12) { view.y0 = Math.min(a[1], b[1]); view.y1 = Math.max(a[1], b[1]); }
      draw();
    } else if (done) { hover(place(event)); if (near) open(near.item.run); }
  });
  canvas.addEventListener("pointercancel", () => { drag = null; draw(); });
  canvas.addEventListener("pointerleave", () => { if (!drag) hover(null); });
  canvas.addEventListener("dblclick", reset);
  // Only with Ctrl, or if the chart has the focus, so that the page can be scrolled past it.
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== canvas) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, place(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const keys = { "+": () => zoom(0.7), "=": () => zoom(0.7), "-": () => zoom(1.4), "0": reset, ArrowLeft: () => move(-0.15, 0), ArrowRight: () => move(0.15, 0), ArrowUp: () => move(0, 0.15), ArrowDown: () => move(0, -0.15) };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  new ResizeObserver(draw).observe(canvas);

  return {
    show(lines, name, log) {
      series = lines; label = name; logarithmic = log; near = null; tip.hidden = true;
      // With init=content, the content loss starts at rounding error, ten decades below the rest.
      floor = 1e-6 * Math.max(0, ...lines.map((one) => Math.max(...one.y)));
      whole = extent();
      reset();
    },
    draw, zoom, reset,
    view: () => view && { ...view },
  };
}
