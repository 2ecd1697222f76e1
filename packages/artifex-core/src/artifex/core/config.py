"""Configs: frozen, validated descriptions of everything that can be built.

One decorator, :func:`config`, turns a class into a pydantic dataclass that is frozen, slotted and keyword-only, refuses unknown
keys and checks every value when it is made. Equal configs compare and hash equal, so a module that holds one is static to JAX.

    >>> from artifex.core.config import Config, config
    >>> @config
    ... class WidthConfig(Config):
    ...     hidden_dims: tuple[int, ...] = (64, 64)
    ...     '''Width of each hidden layer.'''
    >>> WidthConfig(hidden_dims=[8]).to_dict()
    {'hidden_dims': [8]}
    >>> WidthConfig.from_yaml("hidden_dims: [8]") == WidthConfig(hidden_dims=(8,))
    True
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar, dataclass_transform

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import ArgsKwargs, InitErrorDetails, PydanticCustomError, PydanticKnownError, core_schema

from artifex.core.errors import ArtifexError, InvalidInputError, InvalidTypeError
from artifex.core.yamlio import dump_yaml, load_yaml

__all__ = ["Config", "Registered", "config", "explain"]

T = TypeVar("T")
_KIND = "kind"
"""The key that says which config stands in a field open to plugins."""


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(dataclasses.field, Field))
def config(cls: type[T]) -> type[T]:
    """Make ``cls`` a config: frozen, slotted, keyword-only, validated, unknown keys refused.

    Cross-field rules go into ``__post_init__``, which raises ``ValueError`` or ``TypeError``. (Under ``slots`` a zero-argument
    ``super()`` does not work there: name the base class.)

    Raises:
        InvalidInputError: a field is called ``kind``. That key says which config stands in an open field (:class:`Registered`).
    """
    settings = ConfigDict(extra="forbid", polymorphic_serialization=True, use_attribute_docstrings=True)
    made: Any = pydantic_dataclass(frozen=True, slots=True, kw_only=True, config=settings)(cls)
    for name, field in made.__pydantic_fields__.items():
        if _KIND in (name, field.alias, field.validation_alias, field.serialization_alias):
            raise InvalidInputError(
                f"{cls.__name__}.{name} cannot be called {_KIND!r}: in files that key says which config is meant; "
                "choose another name, such as 'variant'"
            )
    return made


def _is_empty(value: object) -> bool:
    return not value


def _plain(value: Any, where: str = "metadata") -> Any:
    """``value`` as YAML can hold it: tuples become lists, and what would not come back from a file is refused."""
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}.{i}") for i, item in enumerate(value)]
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise ValueError(
        f"{where} is of type {type(value).__name__}; only plain data fits: text, numbers, truth values, lists, dicts"
    )


@config
class Config:
    """What every config carries beside its own fields."""

    name: Annotated[str, Field(exclude_if=_is_empty)] = ""
    """A label for people; nothing is looked up by it."""
    description: Annotated[str, Field(exclude_if=_is_empty)] = ""
    """Free text."""
    tags: Annotated[tuple[str, ...], Field(exclude_if=_is_empty)] = ()
    """Free labels."""
    metadata: Annotated[dict[str, Any], AfterValidator(_plain), Field(exclude_if=_is_empty)] = dataclasses.field(
        default_factory=dict, hash=False
    )
    """Anything else worth keeping with the config, as plain data. Compared, but left out of the hash."""

    @model_validator(mode="wrap")
    @classmethod
    def _check_given(cls, raw: Any, handler: Callable[[Any], Self]) -> Self:
        """Name the likely spelling of an unknown key, and refuse ``True`` where a number is declared (Python would take it)."""
        try:
            made = handler(raw)
        except ValidationError as error:
            raise ValidationError.from_exception_data(
                cls.__name__, [_with_hint(item, cls) for item in error.errors()]
            ) from None
        except TypeError as error:  # pydantic locates a ValueError from __post_init__, and lets this one through
            located = InitErrorDetails(type=PydanticCustomError("wrong_type", "{text}", {"text": str(error)}), input=raw)
            raise ValidationError.from_exception_data(cls.__name__, [located]) from error
        given = (raw.kwargs or {}) if isinstance(raw, ArgsKwargs) else raw
        if isinstance(given, Mapping):
            bools = [
                InitErrorDetails(type=_BOOL_AS_NUMBER, loc=loc, input=value)
                for field in dataclasses.fields(made)
                if field.name in given
                for loc, value in _bools_taken_for_numbers(given[field.name], getattr(made, field.name), (field.name,))
            ]
            if bools:
                raise ValidationError.from_exception_data(cls.__name__, bools)
        return made

    def to_dict(self) -> dict[str, Any]:
        """The config as plain dicts, lists, strings, numbers; ``from_dict`` brings it back."""
        return _adapter(type(self)).dump_python(self, mode="json")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Build from plain data. Raises ``pydantic.ValidationError`` (a ``ValueError``) naming each wrong field."""
        if not isinstance(data, Mapping):
            raise InvalidTypeError(
                f"{cls.__name__} is made from a mapping of fields, got {type(data).__name__}: {_short(data)}"
            )
        return _adapter(cls).validate_python(dict(data))

    def to_yaml(self, path: str | Path | None = None) -> str:
        """The config as YAML text; also written to ``path`` when one is given."""
        text = dump_yaml(self.to_dict())
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    @classmethod
    def from_yaml(cls, source: str | Path) -> Self:
        """Build from YAML: a ``Path`` is read, a ``str`` is the text itself.

        Raises:
            OSError: the file cannot be read.
            InvalidInputError: the text is not YAML; the message has line and column.
            pydantic.ValidationError: fields are wrong; :func:`explain` shows them with the file's name.
        """
        file = str(source) if isinstance(source, Path) else ""
        data: Any = load_yaml(source.read_text(encoding="utf-8") if isinstance(source, Path) else source, source=file)
        if isinstance(data, str) and data == source:
            raise InvalidTypeError(f"{cls.__name__}.from_yaml takes YAML text; to read the file {data!r}, pass Path({data!r})")
        try:
            fields: Any = {} if data is None else data
            return cls.from_dict(fields)
        except ValidationError as error:
            if file:
                error.add_note(file)
            raise

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """JSON Schema of the config, field descriptions included."""
        return _adapter(cls).json_schema()

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe inherited fields too: pydantic reads the docstrings of a class's own fields only."""
        reference = handler(schema)
        properties = handler.resolve_ref_schema(reference).get("properties", {})
        for base in cls.__mro__:
            for name, field in getattr(base, "__pydantic_fields__", {}).items():
                if field.description and name in properties:
                    properties[name].setdefault("description", field.description)
        return reference

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated anew."""
        return dataclasses.replace(self, **changes)


_BOOL_AS_NUMBER = PydanticCustomError("bool_as_number", "expected a number, not a truth value")
_SHOWN = 12
"""Wrong fields that fit on one screen."""
_UNKNOWN_FIELD = ("unexpected_keyword_argument", "extra_forbidden")


@cache
def _adapter(cls: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


def _bools_taken_for_numbers(given: Any, kept: Any, loc: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(given, bool):
        if isinstance(kept, int | float) and not isinstance(kept, bool):
            yield loc, given
    elif isinstance(given, list | tuple) and isinstance(kept, list | tuple) and len(given) == len(kept):
        for i, (a, b) in enumerate(zip(given, kept, strict=True)):
            yield from _bools_taken_for_numbers(a, b, (*loc, i))
    elif isinstance(given, Mapping) and isinstance(kept, Mapping):
        for key in given.keys() & kept.keys():
            yield from _bools_taken_for_numbers(given[key], kept[key], (*loc, str(key)))


def _with_hint(item: Any, cls: type[Any]) -> InitErrorDetails:
    """One reported error, ready to be raised again; an unknown key of ``cls`` itself gains the closest real name."""
    loc, given = item["loc"], item["input"]
    if item["type"] in _UNKNOWN_FIELD and len(loc) == 1:
        names = [field.name for field in dataclasses.fields(cls)]
        close = difflib.get_close_matches(str(loc[0]), names, n=1, cutoff=0.6)
        hint = f"did you mean '{close[0]}'?" if close else f"the fields are {', '.join(names)}"
        unknown = PydanticCustomError(
            "unknown_field", "no such field in {config}; {hint}", {"config": cls.__name__, "hint": hint}
        )
        return InitErrorDetails(type=unknown, loc=loc, input=given)
    try:
        PydanticKnownError(item["type"], item.get("ctx"))
    except KeyError:  # an error of our own or of a plugin's validator
        return InitErrorDetails(type=PydanticCustomError(item["type"], "{text}", {"text": item["msg"]}), loc=loc, input=given)
    return InitErrorDetails(type=item["type"], loc=loc, input=given, ctx=item.get("ctx", {}))


@dataclasses.dataclass(frozen=True, slots=True)
class Registered:
    """Marks a config field whose type is open to plugins: ``Annotated[Config, Registered("model")]``.

    A dict given there is resolved at validation: its ``kind`` key is looked up among the installed plugins' entries of that
    sort, and the rest of the dict becomes that entry's config. Written out again, the config carries its ``kind``.
    """

    slot: str
    """``model``, ``dataset``, ``modality``, ``extension``, ``callback`` or the name of a component slot (``backbone``)."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            self._validate,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(self._dump),
        )

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        from artifex.core import plugins

        return {
            "type": "object",
            "description": f"Fields of the chosen {self.slot}'s own config, and `kind`, the name it is registered under.",
            "properties": {"kind": {"type": "string", "enum": sorted(plugins.registry().kinds_with_config(self.slot))}},
            "required": ["kind"],
        }

    def _validate(self, value: Any, inner: Callable[[Any], Any]) -> Any:
        if not isinstance(value, Mapping):
            return inner(value)
        from artifex.core import plugins

        registry = plugins.registry()
        fields = dict(value)
        kind = fields.pop(_KIND, None)
        known = registry.kinds_with_config(self.slot)
        if not isinstance(kind, str):
            raise PydanticCustomError(
                "kind_missing",
                "needs a 'kind' that names the {slot}; installed: {known}",
                {"slot": self.slot, "known": ", ".join(known) or "none"},
            )
        try:
            cls = registry.config_class(self.slot, kind)
        except ArtifexError as error:
            raise PydanticCustomError("kind_unknown", "{reason}", {"reason": str(error)}) from error
        return inner(cls.from_dict(fields))

    def _dump(self, value: Any) -> Any:
        if value is None:
            return None
        from artifex.core import plugins

        return {_KIND: plugins.registry().kind_of(self.slot, type(value)), **value.to_dict()}


def explain(error: ValidationError, *, source: str = "") -> str:
    """A validation error as one screen for people: each wrong field, what is wrong with it, and what was given.

    Args:
        error: what pydantic raised.
        source: where the values came from (a file's name), shown at the head; known if :meth:`Config.from_yaml` read it.
    """
    source = source or next(iter(getattr(error, "__notes__", ())), "")
    lines = [f"{source}: not a valid {error.title}" if source else f"not a valid {error.title}"]
    items = error.errors(include_url=False)
    lines += [f"  {_line(item, error.title)}" for item in items[:_SHOWN]]
    if len(items) > _SHOWN:
        lines.append(f"  and {len(items) - _SHOWN} more")
    return "\n".join(lines)


def _line(item: Any, title: str) -> str:
    """One wrong field."""
    where, kind, given = ".".join(map(str, item["loc"])) or title, item["type"], item.get("input")
    if kind.startswith("missing"):
        return f"{where}: required, but not given"
    if kind == "unexpected_positional_argument":
        return f"{_short(given)} is given by position; name the field, as in {title}(name=...)"
    message = item["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")  # as YAML calls it
    whole = (
        kind == "unknown_field" or isinstance(given, ArgsKwargs) or (isinstance(given, Mapping) and not kind.endswith("_type"))
    )
    return f"{where}: {message[:1].lower()}{message[1:]}" + ("" if whole else f" (given: {_short(given)})")


def _short(value: object) -> str:
    """``repr`` cut to a line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]} ... {text[-15:]}"
