"""The help pages: the nouns of the house, one a page, and its words in a sentence each."""

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from speedtrade.lib.concepts import CONCEPTS, concept
from speedtrade.lib.terms import TERMS


@login_not_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Every concept with what it is about."""
    pages = [(concept(slug), about) for slug, about in CONCEPTS.items()]
    return render(request, "learn/index.html", {"pages": pages, "count": len(TERMS)})


@login_not_required
@require_safe
def page(request: HttpRequest, slug: str) -> HttpResponse:
    """One concept, and the words that lead here."""
    if slug not in CONCEPTS:
        raise Http404
    words = [(key, term) for key, term in TERMS.items() if term.learn == slug]
    context = {"concept": concept(slug), "about": CONCEPTS[slug], "words": words, "all": CONCEPTS}
    return render(request, "learn/page.html", context)


@login_not_required
@require_safe
def terms(request: HttpRequest) -> HttpResponse:
    """Every word, from a to z."""
    words = sorted(TERMS.items(), key=lambda item: item[1].title.lower())
    return render(request, "learn/terms.html", {"words": words})
