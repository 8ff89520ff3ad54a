"""The cameras: frame rate, size, light, blur, noise, and the frames they take of an event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tgsr.demo._face import Illumination, Subject, render_face
from tgsr.demo._movement import Event, displacement, profile

__all__ = ["CAMERAS", "Camera", "film", "see"]

Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Camera:
    """What separates one recording set-up from another.

    Attributes
    ----------
    database : str
        The database whose frames it takes.
    fps : float
        Frames a second.
    width, height : int
        Size of the cropped frames, pixels.
    light : Illumination
    exposure, offset : float
        Grey value = exposure · light + offset, of 0…1.
    blur : float
        Standard deviation of the optical blur, in pixels of the frame.
    noise : float
        Standard deviation of the sensor's noise at mid-grey, in grey values of 0…255.
    name : str
        Format of the frames' file names.
    quality : int, optional
        JPEG quality.
    """

    database: str
    fps: float
    width: int
    height: int
    light: Illumination
    exposure: float
    offset: float
    blur: float
    noise: float
    name: str
    quality: int = 93

    def resized(self, factor: float) -> Camera:
        """The same camera with frames smaller or larger by a factor."""
        return replace(self, width=round(self.width * factor), height=round(self.height * factor))


_HS_LIGHT = Illumination((-0.25, -0.40, 0.88), ambient=0.42)
_VIS_LIGHT = Illumination((0.40, -0.25, 0.88), ambient=0.40)
_NIR_LIGHT = Illumination((0.0, -0.10, 1.0), ambient=0.50, infrared=True)
_CASME2_LIGHT = Illumination((0.10, -0.50, 0.90), ambient=0.45)
_CAMERAS = (
    Camera("SMIC_HS", 100, 139, 170, _HS_LIGHT, 1.00, 0.00, blur=0.7, noise=2.2, name="reg_image{:06d}.bmp"),
    Camera("SMIC_VIS", 25, 139, 170, _VIS_LIGHT, 0.82, 0.02, blur=0.9, noise=1.8, name="reg_{:05d}.bmp"),
    Camera("SMIC_NIR", 25, 139, 170, _NIR_LIGHT, 0.75, 0.12, blur=0.9, noise=2.0, name="reg_{:05d}.bmp"),
    Camera("CASME2", 200, 231, 282, _CASME2_LIGHT, 0.95, 0.03, blur=0.9, noise=2.6, name="reg_img{}.jpg"),
)

CAMERAS: dict[str, Camera] = {camera.database: camera for camera in _CAMERAS}
"""The four cameras at the real databases' frame rates and sizes."""


def see(subject: Subject, camera: Camera) -> npt.NDArray[np.float32]:
    """The neutral face in this camera's light, twice as fine as its frames and already blurred by its optics.

    Returns
    -------
    float32 array of shape (2 · height, 2 · width, 3)
        Blue, green, red in 0…1.
    """
    import cv2

    face = render_face(subject, camera.light, 2 * camera.height, 2 * camera.width)
    spread = 2 * float(np.hypot(camera.blur, 0.4))
    return np.asarray(cv2.GaussianBlur(face[..., ::-1], (0, 0), spread), dtype=np.float32)


def film(
    face: npt.NDArray[np.float32], subject: Subject, event: Event, camera: Camera, rng: np.random.Generator
) -> Iterator[Frame]:
    """Take the frames of one event, from onset to offset.

    Parameters
    ----------
    face : array
        From `see`, for the same subject and camera.
    subject, event, camera
        Who moves, how, and who looks on.
    rng : Generator
        For the sensor's noise.

    Yields
    ------
    uint8 array of shape (height, width, 3), blue, green, red; or (height, width) under infrared light
    """
    import cv2

    height, width = camera.height, camera.width
    y, x = np.meshgrid(
        ((np.arange(height) + 0.5) / height).astype(np.float32),
        ((np.arange(width) + 0.5) / width).astype(np.float32),
        indexing="ij",
    )
    move_x, move_y = displacement(subject, event, x, y)
    n_frames = max(3, round(event.seconds * camera.fps) + 1)
    for index in range(n_frames):
        share = np.float32(profile(event, index / (n_frames - 1)))
        sway_x, sway_y, roll = _sway(event, index / camera.fps)
        # inverse warp: where in the neutral face the light of this pixel comes from
        from_x = x - share * move_x - sway_x + roll * (y - np.float32(0.6))
        from_y = y - share * move_y - sway_y - roll * (x - np.float32(0.5))
        frame = cv2.remap(
            face, from_x * (2 * width) - 0.5, from_y * (2 * height) - 0.5, cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        yield _expose(np.asarray(frame, dtype=np.float32), camera, rng)


def _sway(event: Event, seconds: float) -> npt.NDArray[np.float32]:
    """The head's slow movement since the onset: x, y, roll."""
    amplitude, phase = event.sway[..., 0], event.sway[..., 1]
    angle = 2 * np.pi * np.array([0.7, 1.9]) * seconds
    moved: npt.NDArray[np.float64] = (amplitude * (np.sin(angle + phase) - np.sin(phase))).sum(axis=-1)
    return moved.astype(np.float32)


def _expose(frame: npt.NDArray[np.float32], camera: Camera, rng: np.random.Generator) -> Frame:
    """Exposure, shot noise (the same in the three channels: it is luminance that LBP-TOP sees), 8 bits."""
    signal = camera.exposure * (frame[..., 0] if camera.light.infrared else frame) + camera.offset
    level = signal if camera.light.infrared else signal[..., 1]
    noise = rng.standard_normal(level.shape, dtype=np.float32) * np.sqrt(np.clip(level, 0.05, None) / 0.5)
    noise *= np.float32(camera.noise)
    values = 255 * signal + (noise if camera.light.infrared else noise[..., None])
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)
