"""An OpenGL context without a display, by a few calls into libEGL or libOSMesa.

PyOpenGL, which MuJoCo's own contexts are written with, would cost every camera 20 MB and prints errors when the
interpreter shuts down before it.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from typing import Protocol

from bbia_ros.driver.sim.bindings import SimulatorUnavailable

INSTALL = "apt install libosmesa6 or libegl1 libgl1-mesa-dri"

_OSMESA_RGBA = 0x1908
_GL_UNSIGNED_BYTE = 0x1401
_EGL_PLATFORM_SURFACELESS = 0x31DD
_EGL_OPENGL_API = 0x30A2
_EGL_CONFIG = (0x3024, 8, 0x3023, 8, 0x3022, 8, 0x3021, 8, 0x3025, 24, 0x3026, 8, 0x3033, 1, 0x3040, 8, 0x3038)
"""Eight bits of red, green, blue, alpha and stencil, 24 of depth, a pbuffer surface type, desktop OpenGL."""


class Context(Protocol):
    """An OpenGL context. It belongs to the thread that made it."""

    name: str

    def close(self) -> None:
        """Destroys the context."""


class _OsMesa:
    name = "osmesa"

    def __init__(self) -> None:
        library = ctypes.CDLL(ctypes.util.find_library("OSMesa") or "libOSMesa.so.8")
        pointer = ctypes.c_void_p
        library.OSMesaCreateContextExt.restype = pointer
        library.OSMesaCreateContextExt.argtypes = [ctypes.c_uint, ctypes.c_int, ctypes.c_int, ctypes.c_int, pointer]
        library.OSMesaMakeCurrent.argtypes = [pointer, pointer, ctypes.c_uint, ctypes.c_int, ctypes.c_int]
        library.OSMesaDestroyContext.argtypes = [pointer]
        self._library = library
        self._context = library.OSMesaCreateContextExt(_OSMESA_RGBA, 24, 8, 0, None)
        # MuJoCo renders into a framebuffer object; the context itself needs some surface only to be current.
        self._surface = ctypes.create_string_buffer(16 * 16 * 4)
        if not self._context or not library.OSMesaMakeCurrent(self._context, self._surface, _GL_UNSIGNED_BYTE, 16, 16):
            raise OSError("OSMesa makes no context")

    def close(self) -> None:
        self._library.OSMesaDestroyContext(self._context)


class _Egl:
    name = "egl"

    def __init__(self) -> None:
        egl = ctypes.CDLL(ctypes.util.find_library("EGL") or "libEGL.so.1")
        pointer = ctypes.c_void_p
        for function in ("eglGetProcAddress", "eglCreateContext"):
            getattr(egl, function).restype = pointer
        egl.eglGetProcAddress.argtypes = [ctypes.c_char_p]
        egl.eglInitialize.argtypes = [pointer, pointer, pointer]
        egl.eglChooseConfig.argtypes = [pointer, pointer, pointer, ctypes.c_int, pointer]
        egl.eglCreateContext.argtypes = [pointer] * 4
        egl.eglMakeCurrent.argtypes = [pointer] * 4
        egl.eglDestroyContext.argtypes = [pointer] * 2
        egl.eglTerminate.argtypes = [pointer]
        address = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
        if not address:
            raise OSError("EGL knows no platform displays")
        get_display = ctypes.CFUNCTYPE(pointer, ctypes.c_uint, pointer, pointer)(address)
        self._egl, self._display = egl, get_display(_EGL_PLATFORM_SURFACELESS, None, None)
        if not self._display or not egl.eglInitialize(self._display, None, None):
            raise OSError("EGL has no surfaceless display")
        wanted = (ctypes.c_int * len(_EGL_CONFIG))(*_EGL_CONFIG)
        config, count = pointer(), ctypes.c_int()
        found = egl.eglChooseConfig(self._display, wanted, ctypes.byref(config), 1, ctypes.byref(count))
        egl.eglBindAPI(_EGL_OPENGL_API)
        self._context = egl.eglCreateContext(self._display, config, None, None) if found and count.value else None
        if not self._context or not egl.eglMakeCurrent(self._display, None, None, self._context):
            egl.eglTerminate(self._display)
            raise OSError("EGL makes no OpenGL context without a surface")

    def close(self) -> None:
        self._egl.eglMakeCurrent(self._display, None, None, None)
        self._egl.eglDestroyContext(self._display, self._context)
        self._egl.eglTerminate(self._display)


_KINDS: dict[str, type[_OsMesa] | type[_Egl]] = {"osmesa": _OsMesa, "egl": _Egl}


def check_opengl() -> None:
    """Makes sure that a library for OpenGL without a display is installed, without loading it.

    Raises:
        SimulatorUnavailable: with the command that installs one.
    """
    if not any(ctypes.util.find_library(name) for name in ("OSMesa", "EGL")):
        raise SimulatorUnavailable(f"there is no OpenGL for rendering without a display; {INSTALL}")


def make_context(renderer_threads: int = 1) -> Context:
    """Makes an OpenGL context and makes it current in this thread.

    Takes the one that MUJOCO_GL names (`egl`, `osmesa`); when it names none, OSMesa (a little smaller), then EGL.

    Args:
        renderer_threads: Threads that Mesa's software rasteriser may use. Read once, when its library is loaded.

    Raises:
        SimulatorUnavailable: no library gives a context; the message names the packages to install.
    """
    os.environ.setdefault("LP_NUM_THREADS", str(renderer_threads))
    asked = os.environ.get("MUJOCO_GL", "").strip().lower()
    kinds = [asked] if asked in _KINDS else list(_KINDS)
    failures = []
    for kind in kinds:
        try:
            return _KINDS[kind]()
        except (OSError, AttributeError) as error:
            failures.append(f"{kind}: {error}")
    raise SimulatorUnavailable(f"no OpenGL without a display ({'; '.join(failures)}); {INSTALL}")
