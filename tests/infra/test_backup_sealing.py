"""Encrypted backups: no half, changed or moved piece is taken for a whole one."""

import os
from pathlib import Path

import pytest

from banyan.infra.backup import sealing
from banyan.infra.backup.sealing import NotEncrypted, PassphraseNeeded, PassphraseWrong, Seal
from tests.infra.archives import chunks, read, write


async def test_a_wrong_passphrase_and_none_are_told_apart(tmp_path: Path) -> None:
    await write(tmp_path / "b", "a horse")

    with pytest.raises(PassphraseWrong):
        await read(tmp_path / "b", "a Horse")
    with pytest.raises(PassphraseNeeded, match="BANYAN_BACKUP_PASSPHRASE"):
        await read(tmp_path / "b")
    await write(tmp_path / "put in its place")
    with pytest.raises(NotEncrypted):
        await read(tmp_path / "put in its place", "a horse")


async def test_sealed_content_can_be_neither_changed_cut_off_nor_moved(tmp_path: Path) -> None:
    seal = Seal("a horse")
    content = os.urandom(3 * 256 * 1024)  # the last of three frames is full
    sealed = b"".join([chunk async for chunk in seal.seal("x", chunks(content, 100_000))])
    frame = 256 * 1024 + 16
    frames = [sealed[start : start + frame] for start in range(sealing.HEADER, len(sealed), frame)]
    head = sealed[: sealing.HEADER]

    async def opened(stored: bytes, name: str = "x") -> bytes:
        return b"".join([chunk async for chunk in seal.unseal(name, chunks(stored, 65_536))])

    assert len(frames) == 3
    assert await opened(sealed) == content
    wrong = {
        "a byte less": sealed[:-1],
        "a frame less": head + frames[0] + frames[1],
        "frames exchanged": head + frames[1] + frames[0] + frames[2],
        "a frame twice": head + frames[0] + frames[0] + frames[2],
        "something behind": sealed + b"!",
        "another beginning": b"X" + sealed[1:],
        "nothing": b"",
        "the head only": head,
    }
    for what, stored in wrong.items():
        with pytest.raises(PassphraseWrong):
            print(what, len(await opened(stored)))
    with pytest.raises(PassphraseWrong):
        await opened(sealed, name="y")
