"""Limit templates: the limits with which a new account starts. They have no effect of their own.

An account that is opened with a template gets its limits as commands of its own, in the journal; a
later change of the template changes no account. So templates are kept in a file beside the keys,
replaced as a whole.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from app.api.auth import write_private
from app.engine.types import Limit

TEMPLATES_MAX = 100

LimitValue = str | int


class TemplateFileError(Exception):
    """The file of templates cannot be used; the message says why and what to do."""


class TooManyTemplates(Exception):
    """There would be more than TEMPLATES_MAX."""


class StaleTemplate(Exception):
    """The template has another version than the one that the change is based on."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


@dataclass(frozen=True, slots=True)
class Template:
    """`limits` as an account's, in decimal text and integers; `actor` is the number of a key."""

    name: str
    version: int
    limits: dict[str, LimitValue]
    actor: int
    reason: str
    updated_ts: int


def _checked(template: Template) -> Template:
    """Raises ValueError, AttributeError."""
    texts, numbers = (template.name, template.reason), (template.version, template.actor, template.updated_ts)
    if not all(type(text) is str for text in texts) or not all(type(number) is int for number in numbers):
        raise ValueError(f"a member of template {template.name!r} has the wrong type")
    for name, value in template.limits.items():
        if name not in Limit.__members__ or type(value) not in (str, int):
            raise ValueError(
                f"template {template.name!r} has an unknown limit, or one without a value: {name!r}"
            )
    return template


class TemplateStore:
    """All templates, in memory and in a file. Safe to call from several threads."""

    def __init__(self, path: Path, templates: dict[str, Template], now: Callable[[], int]) -> None:
        self._path = path
        self._templates = templates
        self._now = now
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, now: Callable[[], int]) -> "TemplateStore":
        """Read the file, if there is one; `now` gives microseconds since the epoch.

        Raises TemplateFileError.
        """
        try:
            document = json.loads(path.read_bytes())
            if document["version"] != 1:
                raise ValueError(f"version {document['version']!r} is not known")
            templates = [_checked(Template(**record)) for record in document["templates"]]
        except FileNotFoundError:
            templates = []
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise TemplateFileError(
                f"{path} is damaged ({error}): restore it from a backup, or move it away to start without "
                "templates"
            ) from error
        return cls(path, {template.name: template for template in templates}, now)

    def all(self) -> list[Template]:
        return sorted(self._templates.values(), key=lambda template: template.name)

    def get(self, name: str) -> Template | None:
        return self._templates.get(name)

    def put(
        self, name: str, limits: dict[str, LimitValue], actor: int, reason: str, expected: int | None
    ) -> Template:
        """Replace a template, or add it (its version is 0 before).

        Raises StaleTemplate, TooManyTemplates, OSError.
        """
        with self._lock:
            old = self._templates.get(name)
            version = old.version if old is not None else 0
            if expected is not None and expected != version:
                raise StaleTemplate(version)
            if old is None and len(self._templates) >= TEMPLATES_MAX:
                raise TooManyTemplates
            template = Template(name, version + 1, limits, actor, reason, self._now())
            changed = {**self._templates, name: template}
            records = [asdict(each) for each in changed.values()]
            content = json.dumps({"version": 1, "templates": records}, indent=1)
            write_private(self._path, content.encode() + b"\n")
            self._templates = changed
            return template
