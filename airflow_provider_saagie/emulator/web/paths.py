"""Numbers in paths: only those that the store can hold, so that a longer one is a path that leads nowhere."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor


class _Number(Convertor[int]):
    regex = "[0-9]{1,9}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("number", _Number())

PLATFORM = "platform/{platform:number}"
VERSION = "version/{number:number}"
FAULT = "{fault:number}"
