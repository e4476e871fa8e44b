"""The transform networks against float64 NumPy and PyTorch; their parameters in files."""

import dataclasses

import numpy as np
import pytest

from nstrep.base.errors import InputError
from nstrep.fast import graph, layouts, network, tiles
from nstrep.fast.architectures import NETS, Residual, choose
from nstrep.fast.network import Transformer
from tests import fast_reference
from tests.fast_reference import REFERENCES


def narrow(name, width=4):
    """A network of the table with few channels: the same structure in little time."""
    net = NETS[name]

    def narrowed(layer):
        if isinstance(layer, Residual):
            return Residual(tuple(map(narrowed, layer.convs)))
        return dataclasses.replace(layer, channels=3 if layer.name == "conv4" else width)

    layers = map(narrowed, net.layers)
    return dataclasses.replace(net, layers=tuple(layers))


def drawn(net, rng):
    """Parameters at which every part of the network matters."""
    found = network.initial(net, 5)
    for name, array in found.items():
        if name.endswith(("gamma", "beta", "bias")):
            array += rng.normal(0, 0.3, array.shape).astype(np.float32)
    return found


@pytest.fixture
def photo(rng):
    def make(height, width):
        return rng.random((height, width, 3)).astype(np.float32)

    return make


@pytest.mark.parametrize("size", [(44, 48), (45, 47), (42, 51)], ids=str)
@pytest.mark.parametrize("name", NETS)
def test_networks_are_those_of_their_programs(name, size, rng, photo):
    net = narrow(name)
    parameters, picture = drawn(net, rng), photo(*size)
    found = Transformer(net, parameters)(picture)
    expected = REFERENCES[name](parameters, graph.to_pixels(picture)[0].astype(np.float64))
    assert found.shape == picture.shape
    np.testing.assert_allclose(found.transpose(2, 0, 1), expected / 255, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NETS)
def test_the_portable_graph_is_the_same_network(name, rng, photo):
    import mxnet as mx

    net = narrow(name)
    parameters, picture = drawn(net, rng), photo(41, 46)
    symbol = network.symbol(net, 41, 46, portable=True)
    known = {"image": graph.to_pixels(picture), **graph.constants(net, 41, 46), **parameters}
    arguments = {name: mx.nd.array(known[name]) for name in symbol.list_arguments()}
    executor = symbol.bind(mx.cpu(), arguments, grad_req="null")
    found = graph.to_rgb01(executor.forward(is_train=False)[0].asnumpy())
    np.testing.assert_allclose(found, Transformer(net, parameters)(picture), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("padding", ["reflect", "zero"])
@pytest.mark.parametrize("border", [0, 3, 10])
def test_borders_and_paddings_of_choice(border, padding, rng, photo):
    net = dataclasses.replace(narrow("small"), border=border, padding=padding)
    assert choose("small", border, padding).shapes == NETS["small"].shapes
    parameters, picture = drawn(net, rng), photo(34, 41)
    found = Transformer(net, parameters)(picture)
    pixels = graph.to_pixels(picture)[0].astype(np.float64)
    expected = fast_reference.small(parameters, pixels, border, padding).transpose(1, 2, 0) / 255
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    tiled = tiles.stylize(Transformer(net, parameters), picture, 16)
    np.testing.assert_allclose(tiled, expected, rtol=1e-4, atol=1e-4)


STYLES = ("swirls", "wave", "ink")


@pytest.fixture
def many(rng):
    net = dataclasses.replace(narrow("many"), styles=STYLES)
    return Transformer(net, drawn(net, rng))


@pytest.mark.parametrize("weights", [(0, 1, 0), (0.3, -0.2, 0.9)], ids=str)
def test_styles_are_scales_and_shifts_that_can_be_mixed(weights, many, photo):
    picture, parameters = photo(42, 51), many.arrays()
    found = many(picture, dict(zip(STYLES, weights)))
    np.testing.assert_array_equal(many(picture, np.array(weights)), found)
    mixed = fast_reference.of_style(parameters, np.array(weights))
    expected = fast_reference.many(mixed, graph.to_pixels(picture)[0].astype(np.float64))
    np.testing.assert_allclose(found, expected.transpose(1, 2, 0) / 255, rtol=1e-4, atol=1e-4)
    tiled = tiles.stylize(many, picture, 16, style=weights)
    np.testing.assert_allclose(tiled, found, rtol=1e-4, atol=1e-4)


def test_noise_makes_strokes_where_the_photo_is_flat(many):
    grey = np.full((48, 48, 3), 0.5, np.float32)
    found = many(grey, "wave")
    np.testing.assert_array_equal(many(grey, "wave"), found)
    quiet = Transformer(dataclasses.replace(many.net, noise=0.0), many.arrays())(grey, "wave")
    # Normalisation divides rounding by a deviation of almost 0, so that a little is left.
    assert found.std(axis=(0, 1)).min() > 5 * quiet.std(axis=(0, 1)).max()


def test_one_style_is_the_network_with_its_scales_and_shifts(many, photo):
    picture, parameters = photo(44, 48), many.arrays()
    single = dataclasses.replace(many.net, styles=())
    for number, style in enumerate(STYLES):
        own = fast_reference.of_style(parameters, np.eye(3, dtype=np.float32)[number])
        alone = Transformer(single, own)(picture)
        np.testing.assert_array_equal(many(picture, style), alone)
        np.testing.assert_allclose(tiles.stylize(many, picture, 16, style=style), alone, atol=1e-4)


def test_a_style_must_be_one_of_the_network(many, photo):
    for style, said in (
        (None, "style: must name one or more of swirls, wave, ink"),
        ({"swirls": 0.5, "waves": 0.5}, "style=waves: must be one of swirls, wave, ink"),
        ([1, 0], r"style=\[1, 0\]: must be 3 finite weights"),
        ({"wave": np.nan}, "must be 3 finite weights"),
    ):
        with pytest.raises(InputError, match=said):
            many(photo(32, 32), style)
    with pytest.raises(InputError, match="net=hzy46: has no scales and shifts"):
        choose("hzy46", styles=STYLES)
    with pytest.raises(InputError, match="styles: ink is named twice"):
        choose("many", styles=("ink", "wave", "ink"))


def test_a_border_that_convolutions_use_up_cannot_be_less():
    assert choose("johnson", 44).border == 44
    assert choose("hzy46") == NETS["hzy46"]
    with pytest.raises(InputError, match="net.border=39: net=johnson uses up 40 pixels"):
        choose("johnson", 39)


def test_the_table_has_the_published_numbers_of_parameters():
    count = {
        name: sum(int(np.prod(shape)) for shape in net.shapes.values())
        for name, net in NETS.items()
    }
    assert count["hzy46"] == 1_674_432
    # 1,679,235 is what PyTorch counts for its TransformerNet.
    assert count["pytorch_examples"] == 1_679_235


@pytest.mark.parametrize("eps", [1e-9, 1e-3, 10.0])
def test_epsilon_is_added_to_the_variance(eps, rng):
    net = dataclasses.replace(narrow("pytorch_examples"), eps=eps)
    parameters = {name: 1e-3 * array for name, array in drawn(net, rng).items()}
    picture = rng.random((16, 16, 3)).astype(np.float32)
    found = Transformer(net, parameters)(picture)
    norm = fast_reference.instance_norm
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_reference, "instance_norm", lambda x, _, *rest: norm(x, eps, *rest))
        expected = fast_reference.examples(parameters, graph.to_pixels(picture)[0])
    np.testing.assert_allclose(found.transpose(2, 0, 1), expected / 255, rtol=1e-4, atol=1e-7)


def test_a_picture_that_is_too_small_is_named(rng):
    with pytest.raises(InputError, match="at least 41 x 41 pixels, this picture has 60 x 40"):
        Transformer(narrow("johnson"), drawn(narrow("johnson"), rng))(np.zeros((40, 60, 3)))


@pytest.mark.parametrize("name", NETS)
def test_the_least_side_works(name, rng):
    net = narrow(name)
    side = net.least_side
    picture = rng.random((side, side, 3)).astype(np.float32)
    parameters = drawn(net, rng)
    found = Transformer(net, parameters)(picture)
    expected = REFERENCES[name](parameters, graph.to_pixels(picture)[0].astype(np.float64))
    np.testing.assert_allclose(found.transpose(2, 0, 1), expected / 255, rtol=1e-4, atol=1e-4)


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETS)
def test_parameters_come_back_and_their_network_is_recognised(name, rng, tmp_path):
    net = NETS[name]
    parameters = drawn(net, rng)
    layouts.save(tmp_path / "net.npz", net, parameters)
    found, read = layouts.load(tmp_path / "net.npz")
    assert found == net
    for key, array in parameters.items():
        np.testing.assert_array_equal(read[key], array)


def test_a_file_says_which_borders_its_network_has(rng, tmp_path):
    net = choose("small", 3, "zero")
    layouts.save(tmp_path / "net.npz", net, drawn(net, rng))
    assert layouts.load(tmp_path / "net.npz")[0] == net
    stored = dict(np.load(tmp_path / "net.npz"))
    del stored["net"]  # as written by others
    np.savez(tmp_path / "plain.npz", **stored)
    assert layouts.load(tmp_path / "plain.npz")[0] == NETS["small"]
    for damaged in (b"{", b'{"name": "big"}', b"[]", b'{"name": "johnson", "border": 1}'):
        np.savez(tmp_path / "bad.npz", **stored, net=np.frombuffer(damaged, np.uint8))
        with pytest.raises(InputError, match="has a damaged 'net'"):
            layouts.load(tmp_path / "bad.npz")


def test_a_file_keeps_the_names_of_styles_and_may_have_half_precision(rng, tmp_path):
    net = choose("many", styles=STYLES)
    parameters = drawn(net, rng)
    layouts.save(tmp_path / "net.npz", net, parameters, "float16")
    found, read = layouts.load(tmp_path / "net.npz")
    assert found == net
    for name, array in parameters.items():
        np.testing.assert_array_equal(read[name], array.astype(np.float16).astype(np.float32))
    stored = dict(np.load(tmp_path / "net.npz"))
    for styles in ('["a", "b"]', '["a", "b", 3]', "3", '["a", "a", "b"]'):
        text = f'{{"name": "many", "styles": {styles}}}'.encode()
        np.savez(tmp_path / "bad.npz", **stored | {"net": np.frombuffer(text, np.uint8)})
        with pytest.raises(InputError, match="has a damaged 'net'|with shape"):
            layouts.load(tmp_path / "bad.npz")


def test_lengstrom_variables_are_read_in_their_order_and_axes(rng, tmp_path):
    net = NETS["lengstrom"]
    parameters = drawn(net, rng)
    variables = []
    for conv, _ in net.convs:
        # (height, width, in, out), transposed ones (height, width, out, in)
        variables.append(parameters[f"{conv.name}_weight"].transpose(2, 3, 1, 0))
        variables += [parameters[f"{conv.name}_beta"], parameters[f"{conv.name}_gamma"]]
    names = ["Variable", *(f"Variable_{number}" for number in range(1, len(variables)))]
    np.savez(tmp_path / "la_muse.npz", **dict(zip(names, variables)))
    found, read = layouts.load(tmp_path / "la_muse.npz")
    assert found is net
    for key, array in parameters.items():
        np.testing.assert_array_equal(read[key], array)


def test_other_files_are_refused_in_one_line(rng, tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match=r"model=.*other.npz: holds none of the transform net"):
        layouts.load(tmp_path / "other.npz")
    parameters = drawn(NETS["small"], rng)
    parameters["up1_weight"] = parameters["up1_weight"][:-1]
    layouts.save(tmp_path / "cut.npz", NETS["small"], parameters)
    with pytest.raises(InputError, match="'up1_weight' with shape"):
        layouts.load(tmp_path / "cut.npz")
    parameters = drawn(NETS["many"], rng)
    parameters["res4_1_weight"] = parameters["res3_1_weight"]
    layouts.save(tmp_path / "deep.npz", NETS["many"], parameters)
    with pytest.raises(InputError, match="has 'res4_1_weight', which net=many has not"):
        layouts.load(tmp_path / "deep.npz")
    parameters = drawn(NETS["small"], rng)
    parameters["up1_weight"][0] = np.nan
    layouts.save(tmp_path / "nan.npz", NETS["small"], parameters)
    with pytest.raises(InputError, match="up1_weight has .* values that are NaN or infinite"):
        layouts.load(tmp_path / "nan.npz")


# --- PyTorch -------------------------------------------------------------------------------------


def torch_net(torch):
    """The network of pytorch/examples, with its names."""
    nn = torch.nn

    class Conv(nn.Module):
        def __init__(self, incoming, channels, kernel, stride, scale=1):
            super().__init__()
            self.scale = scale
            self.reflection_pad = nn.ReflectionPad2d(kernel // 2)
            self.conv2d = nn.Conv2d(incoming, channels, kernel, stride)

        def forward(self, x):
            if self.scale > 1:
                x = nn.functional.interpolate(x, scale_factor=self.scale, mode="nearest")
            return self.conv2d(self.reflection_pad(x))

    def norm(channels):
        return nn.InstanceNorm2d(channels, affine=True)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.in1 = Conv(128, 128, 3, 1), norm(128)
            self.conv2, self.in2 = Conv(128, 128, 3, 1), norm(128)

        def forward(self, x):
            return x + self.in2(self.conv2(torch.relu(self.in1(self.conv1(x)))))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.in1 = Conv(3, 32, 9, 1), norm(32)
            self.conv2, self.in2 = Conv(32, 64, 3, 2), norm(64)
            self.conv3, self.in3 = Conv(64, 128, 3, 2), norm(128)
            for number in range(1, 6):
                setattr(self, f"res{number}", Block())
            self.deconv1, self.in4 = Conv(128, 64, 3, 1, 2), norm(64)
            self.deconv2, self.in5 = Conv(64, 32, 3, 1, 2), norm(32)
            self.deconv3 = Conv(32, 3, 9, 1)

        def forward(self, x):
            for number in (1, 2, 3):
                conv, norm = getattr(self, f"conv{number}"), getattr(self, f"in{number}")
                x = torch.relu(norm(conv(x)))
            for number in range(1, 6):
                x = getattr(self, f"res{number}")(x)
            x = torch.relu(self.in4(self.deconv1(x)))
            return self.deconv3(torch.relu(self.in5(self.deconv2(x))))

    torch.manual_seed(0)
    net = Net().eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if ".in" in name or name.startswith("in"):
                parameter += 0.3 * torch.randn_like(parameter)
    return net


def test_a_state_dict_of_pytorch_gives_what_pytorch_gives(rng, tmp_path):
    torch = pytest.importorskip("torch", reason="needs  pip install -e '.[train]'")
    theirs = torch_net(torch)
    state = dict(theirs.state_dict())
    state["in1.running_mean"] = torch.zeros(32)  # files of before PyTorch 0.4 have these
    torch.save(state, tmp_path / "candy.pth")
    net, parameters = layouts.load(tmp_path / "candy.pth")
    assert net is NETS["pytorch_examples"]
    picture = rng.random((37, 50, 3)).astype(np.float32)
    found = Transformer(net, parameters)(picture)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(graph.to_pixels(picture))).numpy()
    expected = graph.to_rgb01(expected)[:37, :50]
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_residual_blocks_shave_what_their_convolutions_lose():
    assert NETS["johnson"].consumed_border == NETS["johnson"].border
    assert sum(isinstance(layer, Residual) for layer in NETS["johnson"].layers) == 5
