"""Words that carry a feeling, in English and French, as stems.

The sentence encoder was trained on English; these counts carry French, and words that must never be missed. A word
counts for a label when it starts with one of its stems and no negation stands within the three words before it.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from bbia_ros.wording import fold, word_set

STEMS: dict[str, str] = {
    "happy": "happy happily glad joy delight pleas smil cheer love lovely wonderful great nice thank enjoy laugh"
    " heureu content joie joyeu ravi aime adore merci plaisir magnifique beau belle sourire sourit rire bonheur"
    " merveilleu",
    "sad": "sad sadness cry cries crying cried weep wept tears lonely alone miss unhappy depress heartbr miserabl grief"
    " mourn died dead death funeral disappoint hopeless"
    " trist pleur seul malheur deprim mort morte decede deuil enterrement larme chagrin decu decevant desespe manque"
    " perdu",
    "angry": "angry anger mad furious rage hate annoy irritat outrag infuriat stupid idiot useless unfair fool dumb"
    " colere furieu fache enerve agace deteste rage idiot imbecile inutile nul injuste insupportable tais menteur"
    " marre",
    "surprised": "surpris astonish wow unbeliev incredibl unexpected shock stunned amazed speechless suddenly"
    " etonn incroyabl inattendu stupef choque soudain croyais ouah attendais revien",
    "fearful": "scare scary afraid fear fright terrif panic nervous worried worry anxious danger nightmare dread threat"
    " help"
    " peur effray terrifi terreur panique inquiet angoiss anxieu danger cauchemar menac secours attention crain trembl",
    "disgusted": "disgust gross yuck eww ew revolt repuls nasty vomit stink stench smelly filthy rotten slimy mould"
    " mold foul sicken"
    " degout degueulas beurk pouah repugn ecoeur vomir pue pourri immonde moisi sale crasse infect",
    "neutral": "what when where who how time hour hello robot name please look"
    " quand heure bonjour bonsoir regarde comment quel quoi robot appelle",
    "excited": "excit thrill hooray hurray hurra woohoo yay eager awesome fantastic can't wait yippee"
    " excite hate youpi hourra genial super impatien vivement enthousias chouette ouais",
    "calm": "calm peaceful peace relax quiet serene tranquil rest rested soft slow gently silence silent breath"
    " paisible paix detend detendu tranquil serein repos silence doucement respir zen apais",
    "confused": "confus puzzl understand unclear baffl bewilder perplex sense lost mystery huh"
    " confus compren comprends compris perplex embrouill bizarre sens perd",
    "compliment": "wonderful clever sweet kind best beautiful helpful brilliant smart cute"
    " gentil formidabl intelligen adorabl mignon meilleur bravo",
    "insult": "stupid idiot useless dumb ugly fool junk worthless moron shut"
    " stupid idiot nul inutile bete moche debile imbecile cretin",
}
"""One feature per entry; the stems are without accents."""

NEGATIONS = word_set("not never no don't doesn't didn't isn't aren't wasn't without ne n' pas jamais aucun sans")
REACH = 3
"""Words before a stem in which a negation cancels it."""

WIDTH = len(STEMS)
_ELIDED = word_set("j l d n m t s c qu")
_WORD = re.compile(r"[a-z']+")
_PREFIXES = {label: tuple(stems.split()) for label, stems in STEMS.items()}
_WHOLE_WORD_BELOW = 5
"""Stems shorter than this must match the whole word: "mad" is not "made"."""


def features(text: str) -> NDArray[np.float32]:
    """For each entry of STEMS the number of its words in the text, damped: 0, 0.69, 1.10, ... (log(1 + n))."""
    words = [part for word in _WORD.findall(fold(text)) for part in _without_elision(word)]
    counts = np.zeros(WIDTH, np.float32)
    for position, word in enumerate(words):
        if NEGATIONS.intersection(words[max(0, position - REACH) : position]):
            continue
        for index, stems in enumerate(_PREFIXES.values()):
            if any(word == stem or (len(stem) >= _WHOLE_WORD_BELOW and word.startswith(stem)) for stem in stems):
                counts[index] += 1.0
    result: NDArray[np.float32] = np.log1p(counts)
    return result


def _without_elision(word: str) -> list[str]:
    """Splits "j'aime" into "j'" and "aime"; English contractions stay whole."""
    head, apostrophe, tail = word.partition("'")
    if apostrophe and head in _ELIDED and tail not in {"m", "s"}:
        return [head + apostrophe, tail]
    return [word]
