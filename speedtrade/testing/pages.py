"""What a page says, for tests that read it as a person does."""

import re
from typing import Any

#: What stands behind the "?" of a term: a person asks for it, it is not what the page says.
_EXPLAINED = re.compile(
    r'<button[^>]*class="what".*?</button>|<a class="what what-link".*?</a>'
    r'|<span class="term-pop".*?</a></span>',
    re.DOTALL,
)


def page_text(response: Any) -> str:
    """The words of a page, without its tags and without the explanations of its terms."""
    bare = re.sub(r"<[^>]*>", " ", _EXPLAINED.sub("", response.content.decode()))
    return re.sub(r"\s+", " ", bare)
