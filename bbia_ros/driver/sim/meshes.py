"""Fewer triangles: reads STL files and merges vertices that lie close together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

Vertices = npt.NDArray[np.float32]
Faces = npt.NDArray[np.int32]

_STL_HEADER = 80
_STL_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def read_stl(path: Path) -> tuple[Vertices, Faces]:
    """Reads a binary STL file.

    Returns:
        Vertices (n, 3) in the file's unit, without duplicates, and faces (m, 3) as indices into them.

    Raises:
        ValueError: the file is not a binary STL or is truncated.
    """
    content = path.read_bytes()
    if len(content) < _STL_HEADER + 4:
        raise ValueError(f"{path} is not a binary STL file")
    count = int(np.frombuffer(content, "<u4", 1, _STL_HEADER)[0])
    if len(content) < _STL_HEADER + 4 + count * _STL_TRIANGLE.itemsize:
        raise ValueError(f"{path} is truncated or not a binary STL file")
    triangles = np.frombuffer(content, _STL_TRIANGLE, count, _STL_HEADER + 4)
    vertices, index = np.unique(triangles["corners"].reshape(-1, 3), axis=0, return_inverse=True)
    return vertices.astype(np.float32), index.reshape(-1, 3).astype(np.int32)


def vertex_normals(vertices: Vertices, faces: Faces) -> npt.NDArray[np.float64]:
    """Returns the sum of the normals of each vertex's faces, weighted by area, (n, 3), not normalised."""
    corners = vertices[faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat = faces.ravel()
    weights = np.repeat(normals, 3, axis=0)
    return np.stack([np.bincount(flat, weights[:, axis], len(vertices)) for axis in range(3)], axis=1)


def inflate(vertices: Vertices, faces: Faces, distance: float) -> Vertices:
    """Moves every vertex outwards along its normal by `distance`, in the mesh's unit."""
    normals = vertex_normals(vertices, faces)
    lengths = np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    moved: Vertices = (vertices + distance * normals / lengths).astype(np.float32)
    return moved


def cluster(vertices: Vertices, faces: Faces, cell: float) -> tuple[Vertices, Faces]:
    """Merges the vertices of each cube of edge length `cell` that face the same octant; faces that collapse go.

    Vertex clustering after Rossignac and Borrel, "Multi-resolution 3D approximations", 1993. The octant keeps the two
    sides of a thin wall apart, which would otherwise collapse into one and show holes.
    """
    cubes = np.floor((vertices - vertices.min(axis=0)) / cell).astype(np.int64)
    cubes = np.concatenate([cubes, vertex_normals(vertices, faces) > 0], axis=1)
    _, member = np.unique(cubes, axis=0, return_inverse=True)
    member = member.reshape(-1)
    count = np.bincount(member)
    merged = np.stack([np.bincount(member, weights=vertices[:, axis]) / count for axis in range(3)], axis=1)
    moved = member[faces]
    kept = moved[(moved[:, 0] != moved[:, 1]) & (moved[:, 1] != moved[:, 2]) & (moved[:, 0] != moved[:, 2])]
    order = np.sort(kept, axis=1)
    _, first = np.unique(order, axis=0, return_index=True)
    kept = kept[np.sort(first)]
    used, renumbered = np.unique(kept, return_inverse=True)
    return merged[used].astype(np.float32), renumbered.reshape(-1, 3).astype(np.int32)


def simplify(vertices: Vertices, faces: Faces, face_limit: int) -> tuple[Vertices, Faces]:
    """Returns the finest clustering with at most `face_limit` faces (the mesh itself when it has no more)."""
    if len(faces) <= face_limit:
        return vertices, faces
    extent = float(np.max(vertices.max(axis=0) - vertices.min(axis=0)))
    low, high = 1.0, 400.0  # cubes along the longest edge: too few, too many
    best = cluster(vertices, faces, extent / low)
    for _ in range(12):
        middle = float(np.sqrt(low * high))
        candidate = cluster(vertices, faces, extent / middle)
        if len(candidate[1]) <= face_limit:
            low, best = middle, candidate
        else:
            high = middle
    return best
