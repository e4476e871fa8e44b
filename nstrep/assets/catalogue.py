"""The networks and pictures that can be fetched: where they lie, what they must be, whose they are.

Nothing here was fetched when the table was written; the comments say where each checksum comes
from. A checksum is ``ALGORITHM:HEX``, an algorithm of :mod:`hashlib` or ``git``, which is the id
of the file as a git blob. A picture without one is *not pinned*: it is accepted if it can be read
as a picture, and must from then on stay the same (see :mod:`nstrep.assets`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from nstrep.base.errors import InputError


@dataclass(frozen=True)
class Source:
    """One address of an asset."""

    url: str
    checksum: str | None = None
    member: str | None = None
    """The file inside a zip archive; the checksum is the file's."""


@dataclass(frozen=True)
class Asset:
    """A file that a command can fetch."""

    name: str
    path: str
    """Where it goes, relative to NSTREP_HOME."""
    title: str
    licence: str
    sources: tuple[Source, ...]
    """Addresses in the order in which they are tried."""
    substitutes: tuple[str, ...] = ()
    """Assets that serve where this one cannot be had."""
    basic: bool = False
    """Fetched when no name is given."""

    @property
    def checksums(self) -> tuple[str, ...]:
        """What the file may be; empty if any of its sources is not pinned."""
        found = tuple(source.checksum for source in self.sources)
        return () if None in found else found

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture and not a network."""
        return self.path.startswith("inputs/")


def home() -> Path:
    """Return the folder that holds ``models/`` and ``inputs/``: NSTREP_HOME, or the current one."""
    return Path(os.environ.get("NSTREP_HOME") or ".")


def named(name: str) -> Asset:
    """Return the asset of this name.

    Raises:
        InputError: there is none.

    """
    if name not in CATALOGUE:
        raise InputError(f"there is no asset {name!r}; there are {', '.join(CATALOGUE)}")
    return CATALOGUE[name]


# The repository that MXNet's own example fetched from (its download.sh).
DMLC = "https://github.com/dmlc/web-data/raw/master/mxnet/neural-style"
# python/mxnet/gluon/model_zoo/model_store.py of MXNet 1.9.1: address and SHA-1 of the member.
GLUON = "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/gluon/models"
GLUON_PLAIN = "https://apache-mxnet.s3.amazonaws.com/gluon/models"
# keras/applications/vgg19.py and vgg16.py: address and MD5.
KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
# torchvision/models/vgg.py: address; the name holds the start of the SHA-256, and the whole of it
# stands in several public repositories that agree.
TORCH = "https://download.pytorch.org/models"

OXFORD = "weights by Simonyan and Zisserman, University of Oxford, CC BY 4.0"
UNSTATED = "its source states no licence"
PUBLIC_DOMAIN = "public domain (the painter died more than 70 years ago)"


def _gluon(file: str, sha1: str) -> tuple[Source, ...]:
    return tuple(
        Source(f"{bucket}/{file}.zip", f"sha1:{sha1}", f"{file}.params")
        for bucket in (GLUON, GLUON_PLAIN)
    )


def _commons(file: str, md5: str | None = None, wiki: str = "commons") -> tuple[Source, ...]:
    """Return the original where its MD5 is known, and the picture at 1280 pixels, not pinned.

    Each name was compared with the folder that Wikimedia derives from it and that public
    repositories give (the first digits of the name's MD5). The MD5 of the content, where given,
    is pystiche's (pystiche_papers, gatys_ecker_bethge_2016).
    """
    site = "en.wikipedia.org" if wiki == "en" else "commons.wikimedia.org"
    address = f"https://{site}/wiki/Special:FilePath/{quote(file)}"
    if md5 is None:
        return (Source(f"{address}?width=1280"),)
    return (Source(address, f"md5:{md5}"), Source(f"{address}?width=1280"))


# Which files its configurations train on (conf/*.yml), and its README's table of samples.
HZY46 = "https://raw.githubusercontent.com/hzy46/fast-neural-style-tensorflow/master/img"


def _hzy46(name: str, title: str, licence: str) -> Asset:
    """A painting of the seven networks of that program, or else its square of 256 pixels."""
    sources = (Source(f"{HZY46}/{name}.jpg"), Source(f"{HZY46}/results/style_{name}.jpg"))
    return Asset(f"{name}.jpg", f"inputs/{name}.jpg", title, licence, sources)


_ASSETS = (
    Asset(
        name="vgg19.params",
        path="models/vgg19.params",
        title="VGG-19, convolutions, as MXNet's example of 2015 used it",
        licence=OXFORD,
        sources=(
            Source(f"{DMLC}/model/vgg19.params", "git:9dfbe2ed44e0e8914f9551888bf763e14c09c778"),
        ),
        substitutes=(
            "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "vgg19-ad2f660d.params",
            "vgg19-dcbb9e9d.pth",
        ),
        basic=True,
    ),
    Asset(
        name="IMG_4343.jpg",
        path="inputs/IMG_4343.jpg",
        title="View from an office, the content picture of MXNet's example",
        licence=UNSTATED,
        sources=(
            Source(
                f"{DMLC}/input/IMG_4343.jpg",
                "sha256:f030b5f903509865604e9ec823dc509883619a16fdc0a2d5c0fff70cb8b83fcf",
            ),
        ),
        basic=True,
    ),
    Asset(
        name="starry_night.jpg",
        path="inputs/starry_night.jpg",
        title="The Starry Night, Vincent van Gogh, 1889, as MXNet's example used it",
        licence=PUBLIC_DOMAIN,
        sources=(
            Source(
                f"{DMLC}/input/starry_night.jpg",
                "sha256:0592ab0f7b51b3ce72608a95e53880bd93971e5b48f93a0ce8dfd3cbccf3d098",
            ),
        ),
        basic=True,
    ),
    Asset(
        name="4343_starry_night.jpg",
        path="inputs/4343_starry_night.jpg",
        title="What MXNet's example made of these two pictures",
        licence=UNSTATED,
        sources=(
            Source(
                f"{DMLC}/output/4343_starry_night.jpg",
                "sha256:ffd59d99400a6ff13e39d6b4cbf1d1ccf45590027cd3729b816e5ae7e6266772",
            ),
        ),
    ),
    Asset(
        name="vgg16.params",
        path="models/vgg16.params",
        title="VGG-16, Gluon's model zoo",
        licence="weights from Apache MXNet's model zoo, Apache-2.0",
        sources=_gluon("vgg16-e660d456", "e660d4569ccb679ec68f1fd3cce07a387252a90a"),
        substitutes=(
            "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "vgg16-397923af.pth",
        ),
    ),
    Asset(
        name="vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        path="models/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        title="VGG-19, convolutions, Keras' file of the same weights (needs h5py)",
        licence=OXFORD,
        sources=(
            Source(
                f"{KERAS}/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
                "md5:253f8cb515780f3b799900260a226db6",
            ),
        ),
    ),
    Asset(
        name="vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        path="models/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        title="VGG-16, convolutions, Keras' file of the Oxford weights (needs h5py)",
        licence=OXFORD,
        sources=(
            Source(
                f"{KERAS}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
                "md5:6d6bbae143d832006294945121d1f1fc",
            ),
        ),
    ),
    Asset(
        name="vgg19-ad2f660d.params",
        path="models/vgg19-ad2f660d.params",
        title="VGG-19, Gluon's model zoo",
        licence="weights from Apache MXNet's model zoo, Apache-2.0",
        sources=_gluon("vgg19-ad2f660d", "ad2f660d101905472b83590b59708b71ea22b2e5"),
    ),
    Asset(
        name="vgg19-dcbb9e9d.pth",
        path="models/vgg19-dcbb9e9d.pth",
        title="VGG-19, trained anew by torchvision (575 MB)",
        licence="torchvision, BSD-3-Clause",
        sources=(
            Source(
                f"{TORCH}/vgg19-dcbb9e9d.pth",
                "sha256:dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
            ),
        ),
    ),
    Asset(
        name="vgg16-397923af.pth",
        path="models/vgg16-397923af.pth",
        title="VGG-16, trained anew by torchvision (553 MB)",
        licence="torchvision, BSD-3-Clause",
        sources=(
            Source(
                f"{TORCH}/vgg16-397923af.pth",
                "sha256:397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
            ),
        ),
    ),
    Asset(
        name="tuebingen_neckarfront.jpg",
        path="inputs/tuebingen_neckarfront.jpg",
        title="Neckarfront in Tuebingen, photograph by Andreas Praefcke",
        licence="CC BY 3.0, Andreas Praefcke, Wikimedia Commons",
        sources=_commons("Tuebingen_Neckarfront.jpg", "dc9ad203263f34352e18bc29b03e1066"),
    ),
    Asset(
        name="shipwreck_of_the_minotaur.jpg",
        path="inputs/shipwreck_of_the_minotaur.jpg",
        title="The Shipwreck of the Minotaur, J. M. W. Turner, about 1810",
        licence=PUBLIC_DOMAIN,
        sources=_commons("Shipwreck_of_the_Minotaur_William_Turner.jpg"),
    ),
    Asset(
        name="starry_night_google_art.jpg",
        path="inputs/starry_night_google_art.jpg",
        title="The Starry Night, Vincent van Gogh, 1889, Google Art Project",
        licence=PUBLIC_DOMAIN,
        # Not pinned: the original is a scan of more pixels than nstrep reads.
        sources=_commons("Van_Gogh_-_Starry_Night_-_Google_Art_Project.jpg"),
    ),
    Asset(
        name="the_scream.jpg",
        path="inputs/the_scream.jpg",
        title="The Scream, Edvard Munch, 1893",
        licence=PUBLIC_DOMAIN,
        sources=_commons("The_Scream.jpg", "46ef64eea5a7b2d13dbadd420b531249")
        + _commons(
            "Edvard_Munch,_1893,_The_Scream,_oil,_tempera_and_pastel_on_cardboard,"
            "_91_x_73_cm,_National_Gallery_of_Norway.jpg"
        ),
    ),
    Asset(
        name="femme_nue_assise.jpg",
        path="inputs/femme_nue_assise.jpg",
        title="Femme nue assise, Pablo Picasso, 1909-10",
        licence="NOT free everywhere: public domain in the USA; Picasso died in 1973, so in"
        " copyright until the end of 2043 where it lasts 70 years, as in the EU",
        sources=_commons(
            "Pablo_Picasso,_1909-10,_Figure_dans_un_Fauteuil_(Seated_Nude,_Femme_nue_assise),"
            "_oil_on_canvas,_92.1_x_73_cm,_Tate_Modern,_London.jpg",
            "ba14b947b225d9e5c59520a814376944",
            wiki="en",
        ),
    ),
    Asset(
        name="composition_vii.jpg",
        path="inputs/composition_vii.jpg",
        title="Composition VII, Wassily Kandinsky, 1913",
        licence=PUBLIC_DOMAIN,
        sources=_commons(
            "Vassily_Kandinsky,_1913_-_Composition_7.jpg", "bfcbc420684bf27d2d8581fa8cc9522f"
        ),
    ),
    Asset(
        name="van_gogh_self_portrait_1889.jpg",
        path="inputs/van_gogh_self_portrait_1889.jpg",
        title="Self-Portrait, Vincent van Gogh, September 1889, Musee d'Orsay",
        licence=PUBLIC_DOMAIN,
        sources=_commons("Vincent_van_Gogh_-_Self-Portrait_-_Google_Art_Project.jpg"),
    ),
    Asset(
        name="impression_sunrise.jpg",
        path="inputs/impression_sunrise.jpg",
        title="Impression, Sunrise, Claude Monet, 1872",
        licence=PUBLIC_DOMAIN,
        sources=_commons("Monet_-_Impression,_Sunrise.jpg"),
    ),
    _hzy46("wave", "The Great Wave off Kanagawa, Katsushika Hokusai, about 1831", PUBLIC_DOMAIN),
    _hzy46("cubist", "the cubist painting of hzy46's examples", UNSTATED),
    _hzy46(
        "denoised_starry",
        "The Starry Night, Vincent van Gogh, 1889, without the grain of the canvas",
        PUBLIC_DOMAIN,
    ),
    _hzy46("mosaic", "the mosaic of hzy46's examples", UNSTATED),
    _hzy46("feathers", "the feathers of hzy46's examples", UNSTATED),
    _hzy46("udnie", "Udnie, Francis Picabia, 1913", PUBLIC_DOMAIN),
)

CATALOGUE: dict[str, Asset] = {asset.name: asset for asset in _ASSETS}
