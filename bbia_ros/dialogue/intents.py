"""What a person wants, from the words of an utterance: patterns in English and French that forgive mishearing.

Patterns see the text in plain form (`wording.plain`): lower case, no accents, no punctuation. They are few words long and
search anywhere in the text, since a small speech recogniser gets articles and endings wrong more often than nouns.
"""

# ruff: noqa: E501 - one pattern a line reads better than a wrapped one

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bbia_ros.wording import plain, word_set


@dataclass(frozen=True)
class Intent:
    """Something that the person wants or says.

    Attributes:
        name: One of the names in PATTERNS or SOCIAL.
        slots: Words picked from the text, for instance {"target": "apple"}.
        language: "en" or "fr": that of the pattern that matched.
    """

    name: str
    slots: dict[str, str] = field(default_factory=dict)
    language: str = "en"


@dataclass(frozen=True)
class Understanding:
    """What was understood of an utterance.

    Attributes:
        main: The request, question or feeling that needs an answer; None: nothing that a rule knows.
        social: greet, thank, compliment, ... that came along or stand alone.
        language: "en" or "fr".
        complete: A rule can answer the whole utterance.
    """

    main: Intent | None
    social: Intent | None
    language: str
    complete: bool


_ART = r"(?:the|a|an|my|your|that|this|some|one|les?|la|l'|une?|des|cette|ce|cet|mon|ma)"
_SEE = r"(?:see|sea|seen|seeing|see's|sees|notice|spot|recogni[sz]e)"
_FEELINGS = {
    "happy": "happy glad cheerful joyful heureux heureuse content contente joyeux joyeuse",
    "sad": "sad unhappy triste malheureux malheureuse",
    "angry": "angry mad furious fache fachee furieux furieuse colere",
    "curious": "curious curieux curieuse",
    "excited": "excited thrilled excite excitee enthousiaste",
    "surprised": "surprised astonished surpris surprise etonne etonnee",
    "fearful": "fearful afraid scared frightened peur effraye effrayee apeure",
    "confused": "confused puzzled confus confuse perplexe",
    "determined": "determined determine determinee",
    "nostalgic": "nostalgic nostalgique",
    "proud": "proud fier fiere",
    "calm": "calm relaxed calme detendu detendue",
    "neutral": "neutral normal neutre",
}
FEELING_OF = {word: label for label, words in _FEELINGS.items() for word in words.split()}
"""Which expressed emotion a word names."""
_FEELING = "|".join(FEELING_OF)

PATTERNS: tuple[tuple[str, str, str], ...] = (
    # Order is priority: the first that matches is the request.
    ("forget_me", "en", r"\bforget (?:about )?(?:me|us|who i am|my name|everything|all|what i (?:told|said))\b"),
    ("forget_me", "fr", r"\boublie[sz]?[ -](?:moi|nous|tout|mon nom|qui je suis|ce que)\b"),
    ("sleep", "en", r"\b(?:go|time|back|get) (?:to |too |two )?(?:sleep|bed|asleep)\b|\bgood ?night\b|^sleep(?: now)?$"),
    ("sleep", "fr", r"\b(?:va|aller|tu peux|il faut) (?:te |vite )?(?:dormir|coucher|au lit)\b|\bbonne nuit\b|\bendors[ -]toi\b|^dors\b"),
    ("wake_up", "en", r"(?<!\bi )(?<!to )\bwake(?:[ -]?up| app)?\b(?! me)|\bwakeup\b|\bget up\b"),
    ("wake_up", "fr", r"\breveille[sz]?(?:[ -]toi|[ -]vous)?\b|\blevez?[ -](?:toi|vous)\b"),
    ("stop", "en", r"^(?:(?:please|ok|okay|no|now|robot|reachy|hey) )*(?:stop|halt|freeze|be quiet|quiet|silence|enough|hold on|shut up|stop (?:it|that|talking|moving|now|please|robot))(?: (?:please|now|it|robot|stop|reachy|talking|moving))*$"),
    ("stop", "fr", r"^(?:(?:s'il te plait|ok|non|robot) )*(?:stop|arrete(?:[ -]toi| tout| ca| de parler| de bouger)?|silence|tais[ -]toi|ca suffit)(?: (?:s'il te plait|robot|maintenant|tout de suite))*$"),
    ("look_direction", "en", r"\b(?:look|turn|face|gaze)(?: (?:your head|your eyes|over|a (?:bit|little)|straight|to|towards?|on|the|your))* (?P<direction>left|right|up|upwards|down|downwards|ahead|straight)\b"),
    ("look_direction", "fr", r"\b(?:regarde|tourne)(?:[ -]toi| la tete| les yeux| un peu| a| vers| sur| ta| tout)* (?P<direction>gauche|droite|haut|bas|devant|droit)\b"),
    ("look_me", "en", r"\b(?:look|turn|luck|looked)(?: (?:over|back|here|right|at|to|towards?))* (?:me|here|my face|my eyes|this way)\b"),
    ("look_me", "fr", r"\b(?:regarde|tourne[ -]toi vers)[ -](?:moi|nous|ici|par ici|mon visage)\b"),
    ("look_at", "en", rf"\b(?:look(?:ed|ing|s)?|luck|gaze|glance|stare|point|focus)(?: (?:over|back|closely|again))? (?:at|to|towards?|that)(?: {_ART})* (?P<target>[a-z'][a-z' ]{{1,40}})"),
    ("look_at", "fr", rf"\bregarde[sz]?(?: bien| donc| vers)*(?: {_ART}| l')* ?(?P<target>[a-z][a-z ]{{1,40}})"),
    ("time", "en", r"\bwhat(?:'s| is| s)? (?:the )?time\b(?! (?:difference|zone))|\bwhat time (?:is|do|have)\b|\bwhat time$|\btell me the time\b|\btime is it\b"),
    ("time", "fr", r"\bquelle heure\b|\bl'heure (?:est|qu)|\bdonne[ -]moi l'heure\b"),
    ("date", "en", r"\bwhat(?:'s| is| s)? (?:the date|today's date|day (?:is )?(?:it|today))\b|\bwhich day\b|\bwhat day\b"),
    ("date", "fr", r"\bquel jour\b|\bquelle (?:est la )?date\b|\bon est le combien\b"),
    ("who", "en", rf"\bwho(?:'s| is| are| s)? (?:is )?(?:there|here|that|in front|with you)\b|\bwho (?:do|can|are) you {_SEE}\b|\byou {_SEE} (?:me|us|anyone|anybody|someone|somebody|people|a person|any people|any faces?)\b|\b(?:anyone|anybody|someone|somebody) (?:there|here)\b|\bhow many (?:people|persons|faces)\b"),
    ("who", "fr", r"\bqui (?:est|c'est|vois|voit)\b(?! tu$)|\b(?:tu|vous) me vo[iy](?:s|t|ez)\b|\bme vo[iy](?:s|t|ez)[ -](?:tu|vous)\b|\by a t il quelqu'un\b|\bil y a quelqu'un\b|\bcombien de (?:personnes|gens|visages)\b"),
    ("where", "en", rf"\bwhere(?:'s| is| are| s) {_ART} (?P<target>[a-z]+(?: [a-z]+)?)"),
    ("where", "fr", rf"\bou (?:est|sont|se trouve|se trouvent)(?: {_ART}| l')* ?(?P<target>[a-z]+)"),
    ("count", "en", rf"\bhow many (?P<target>[a-z]+)(?: [a-z]+)? (?:do|can|are|did|you|on|there|{_SEE})\b"),
    ("count", "fr", r"\bcombien (?:de |d')(?P<target>[a-z]+)\b"),
    ("see", "en", rf"\b(?:what|which|wat)\b.{{0,40}}\byou(?:'re)?(?: (?:can|are|actually|really))* {_SEE}\b|\bwhat(?:'s| is| are| s)? (?:there |that |these |things? )?(?:is |are )?(?:on|in front|around|before|at)\b(?! your mind| the moon| tv)|\b(?:tell|say|describe|show|list)\b.{{0,20}}\b(?:what|things|objects|everything) (?:that )?you(?: can)? {_SEE}\b|\bdescribe (?:the|this|your|what|everything)\b.{{0,20}}\b(?:table|room|scene|view|surroundings|around|front)\b|\byou {_SEE} (?:anything|something|any (?:objects?|things?))\b|\bwhat(?:'s| is| s) (?:lying|standing)\b|\bwhat objects\b"),
    ("see", "fr", r"\bqu(?:e|'est ce que|oi|est ce que)\b.{0,20}\b(?:tu )?vo[iy](?:s|t|ez)\b(?! que| pas que)|\bqu'(?:y a t il|est ce qu'il y a) (?:sur|devant|autour)\b|\b(?:decris|dis)[ -]moi ce que tu vois\b|\btu vois quelque chose\b|\bque vois[ -]tu\b|\btu vois quoi\b"),
    ("see_one", "en", rf"\byou {_SEE} (?:the|a|an|any|some|my) (?P<target>[a-z]+)\b|\bis there (?:a|an|any|some) (?P<target2>[a-z]+) (?:on|in|there|here|around)\b"),
    ("see_one", "fr", r"\b(?:vois[ -]tu|tu vois|voyez[ -]vous) (?:le |la |l'|les |un |une |des |du |mon |ma )(?P<target>[a-z]+)"),
    ("dance", "en", r"\bdanc(?:e|ing)\b(?!r)|\bdo a dance\b|\bshow me (?:a |your )?(?:dance|moves?)\b"),
    ("dance", "fr", r"\bdans(?:e|er|es|ez)\b(?! l[ea]\b)"),
    ("nod", "en", r"\bnod\b|\b(?:not|node|knot) your head\b|\bsay yes with your head\b"),
    ("nod", "fr", r"\b(?:hoche|bouge|incline) la tete\b|\bfais oui\b"),
    ("my_name", "en", r"\bmy name(?:'s| is| s) (?P<name>[a-z'-]+)|\b(?:call me|you can call me) (?P<name2>[a-z'-]+)$"),
    ("my_name", "fr", r"\b(?:je m'appelle|mon (?:nom|prenom) est|appelle[ -]moi) (?P<name>[a-z'-]+)"),
    ("about_me", "en", r"\bwhat(?:'s| is| s) my name\b|\bwho am i\b|\b(?:do you )?(?:know|remember) (?:me|my name|who i am)\b|\bwhat do you (?:know|remember) about me\b"),
    ("about_me", "fr", r"\bcomment je m'appelle\b|\bqui suis[ -]je\b|\btu (?:te souviens|te rappelles) de moi\b|\bque sais[ -]tu (?:de|sur) moi\b|\btu me connais\b|\bmon nom$"),
    ("remember", "en", r"\b(?:please )?remember (?:that |this )(?P<fact>.{3,})"),
    ("remember", "fr", r"\b(?:souviens[ -]toi|rappelle[ -]toi|retiens)(?: du fait)? que (?P<fact>.{3,})"),
    ("express", "en", rf"(?<!\bi )(?<!\bi'm )(?<!\bto )\b(?:be|feel|look|act|get|become|play|make a|show me|show|pretend to be|try to be)(?: (?:a|an|your|me|very|really|so|more|bit|little|happy and))* (?P<feeling>{_FEELING})(?: face| look)?\b(?! (?:birthday|new year|that|about|for|because))"),
    ("express", "en", rf"^(?:please )?(?:we|bee|b|the) (?P<feeling>{_FEELING})$"),
    ("express", "fr", rf"\b(?:sois|montre[ -]moi|montre|fais|joue|aie|prends)(?: (?:un|une|air|l'air|que|tu|es|as|tres|bien|plus|le|la))* (?P<feeling>{_FEELING})\b"),
    ("how_are_you", "en", r"\bhow(?:'re| are| r) (?:you|ya|things)(?: (?:doing|feeling|today|robot|reachy|then|now))*$|\bhow do you (?:feel|do)\b|\bare you (?:ok|okay|well|alright|fine|happy|sad)\b|\bhow is it going\b|\bhow's it going\b"),
    ("how_are_you", "fr", r"\b(?:comment|tu) (?:ca )?vas?(?:[ -]tu)?(?: bien)?\b(?! (?:chercher|faire))|\bca va\b|\bcomment (?:tu )?te sens\b|\bcomment allez[ -]vous\b"),
    ("your_name", "en", r"\b(?:what(?:'s| is| s)|tell me) your name\b|^(?:and |so |robot )*(?:who|what) are you$|\bintroduce yourself\b|\bwho are you\b"),
    ("your_name", "fr", r"\bcomment (?:tu )?t'appelles?\b|\bqui es[ -]tu\b|\b(?:quel est|c'est quoi) ton nom\b|\btu t'appelles comment\b|\bpresente[ -]toi\b"),
    ("help", "en", r"\bwhat can you do\b|\bwhat are you able\b|\bhow can you help\b|\bwhat do you know how to do\b"),
    ("help", "fr", r"\bque (?:sais|peux)[ -]tu faire\b|\bqu'est ce que tu (?:sais|peux) faire\b|\btu (?:sais|peux) faire quoi\b"),
    ("repeat", "en", r"\b(?:repeat|say) (?:that|it|this)(?: again)?\b|\bwhat did you (?:say|just say)\b|^(?:pardon|sorry what|say again)$|\bcome again\b|^repeat(?: please)?$"),
    ("repeat", "fr", r"\brepete[sz]?\b|\bqu'est ce que tu (?:as|a) dit\b|\btu peux redire\b|^pardon$"),
    ("joke", "en", r"\b(?:tell|make|know|say|hear|another)\b.{0,12}\bjokes?\b|\bmake me laugh\b"),
    ("joke", "fr", r"\b(?:blague|histoire drole)\b|\bfais[ -]moi rire\b"),
    ("user_sad", "en", r"\bi(?:'m| am| m| feel| feel like| am feeling|'m feeling| was)(?: (?:so|very|really|a bit|a little|just|such|quite|feeling|all|still|really really))* (?:sad|unhappy|lonely|alone|depressed|down|blue|miserable|heartbroken|hopeless|crying|disappointed|upset)\b|\b(?:died|passed away|is dead|has died)\b|\bi (?:miss|lost) my\b|\bmy heart is broken\b|\bi (?:want to|could|have to) cry\b|\bi (?:cried|am crying)\b"),
    ("user_sad", "fr", r"\bje (?:suis|me sens)(?: (?:tellement|tres|si|vraiment|un peu|trop|bien))* (?:triste|seule?|malheureu\w*|deprimee?|decue?|desesperee?|abattue?)\b|\b(?:est|sont) (?:mort|morte|morts|decedee?)\b|\bj'ai perdu mon\b|\bj'ai envie de pleurer\b|\bje pleure\b|\b(?:il|elle) me manque\b"),
    ("user_afraid", "en", r"\bi(?:'m| am| m| feel)(?: (?:so|very|really|a bit|a little|quite))* (?:afraid|scared|frightened|terrified|worried|anxious|nervous)\b"),
    ("user_afraid", "fr", r"\bj'ai (?:tres |si |un peu |tellement )?peur\b|\bje suis(?: (?:tres|si|vraiment|un peu))* (?:inquiete?|terrifiee?|angoissee?|effrayee?|nerveux|nerveuse)\b"),
    ("user_angry", "en", r"\bi(?:'m| am| m| feel)(?: (?:so|very|really|quite))* (?:angry|furious|mad|annoyed|fed up)\b"),
    ("user_angry", "fr", r"\bje suis(?: (?:tres|si|vraiment|tellement))* (?:en colere|furieu\w*|fachee?|enervee?)\b|\bj'en ai (?:marre|assez)\b"),
    ("user_happy", "en", r"\bi(?:'m| am| m| feel)(?: (?:so|very|really|quite|just))* (?:happy|glad|excited|delighted|thrilled|great|wonderful|fantastic|over the moon)\b(?! to (?:see|meet) you)"),
    ("user_happy", "fr", r"\bje suis(?: (?:tres|si|vraiment|tellement|trop|tout|toute))* (?:heureu\w*|contente?|ravie?|joyeu\w*|excitee?)\b"),
)  # fmt: skip
"""(name, language, pattern)."""

SOCIAL: tuple[tuple[str, str, str], ...] = (
    ("insult", "en", r"\byou(?:'re| are|r)?(?: (?:a|an|so|such|really|very|the|just|little))* (?:stupid|idiot|dumb|useless|ugly|bad|terrible|worthless|fool|moron|annoying|awful|piece of junk)\b|\bi hate you\b|\bshut up\b"),
    ("insult", "fr", r"\btu es(?: (?:un|une|si|tres|vraiment|trop|tellement))* (?:stupide|idiote?|nul|nulle|bete|moche|inutile|debile|mechante?)\b|\bje te deteste\b"),
    ("compliment", "en", r"\byou(?:'re| are| re|r)?(?: (?:a|an|so|such|really|very|the|my|just|little|absolutely|pretty|did|do))* (?:wonderful|great|nice|kind|good|clever|smart|sweet|amazing|beautiful|cute|best|lovely|fantastic|awesome|brilliant|funny|helpful|friendly|adorable|incredible|excellent|perfect)\b|\bi (?:really )?(?:like|love|adore) you\b|\b(?:well done|good job|great job|nice work|good robot|bravo|good boy)\b"),
    ("compliment", "fr", r"\btu es(?: (?:un|une|si|tres|vraiment|trop|tellement|le|la|mon|bien|super))* (?:formidable|gentille?|genial\w*|intelligente?|adorable|merveilleu\w*|super|belle|beau|meilleure?|mignonne?|mignon|drole|fantastique|parfaite?)\b|\bje t'(?:aime|adore)\b|\bbravo\b|\bbien joue\b|\bbon travail\b"),
    ("thank", "en", r"\bthank(?:s| you|you| u)?\b|\bcheers\b"),
    ("thank", "fr", r"\bmerci\b"),
    ("goodbye", "en", r"\b(?:good ?bye|bye|see (?:you|ya)(?: (?:later|soon|tomorrow))?|farewell|i have to go)\b"),
    ("goodbye", "fr", r"\b(?:au revoir|a bientot|a demain|a plus(?: tard)?|salut a tous|adieu)\b"),
    ("greet", "en", r"\b(?:hello|hallo|hullo|hi|hey|good (?:morning|afternoon|evening|day)|nice to meet you|greetings)\b"),
    ("greet", "fr", r"\b(?:bonjour|bonsoir|salut|coucou|enchantee?)\b"),
)  # fmt: skip
"""Courtesies; they may come with a request, or stand alone."""

_FILLERS = word_set(
    "robot reachy richie ricci mini there please dear friend my little you so very much a lot and oh well ok okay again yes"
    " it the to all of for that is are was again today everyone everybody world s m i sir now then just really too"
    " s'il te plait mon ami petit beaucoup tres bien et oui bon ben alors toi vous le la un de d'accord tout monde"
    " have day nice good night have one robots robert"
)
"""Words that may surround a courtesy without adding anything."""

_FRENCH = word_set(
    "je tu il elle nous vous le la les un une des du de et est sont que qui quoi quel quelle pas ne dans sur avec pour mon ma"
    " ton ta bonjour merci moi toi suis es c'est j'ai qu'est parle raconte dis vois regarde oui non comment pourquoi ou"
)
_ENGLISH = word_set(
    "i you he she we they the a an is are am do does did what who how why where when can could please tell me my your and of"
    " to in on at look see hello thank yes no it this that"
)

_ELISIONS = ("j'", "l'", "d'", "qu'", "c'", "t'", "m'", "n'")

_COMPILED = [(name, language, re.compile(pattern)) for name, language, pattern in PATTERNS]
_COMPILED_SOCIAL = [(name, language, re.compile(pattern)) for name, language, pattern in SOCIAL]


def guess_language(text: str, hint: str = "") -> str:
    """The language, "fr" or "en", by common words; the recogniser's own guess decides when the words do not."""
    words = plain(text).replace("-", " ").split()
    french = sum(word in _FRENCH or word.startswith(_ELISIONS) for word in words)
    english = sum(word in _ENGLISH for word in words)
    if french != english:
        return "fr" if french > english else "en"
    return "fr" if hint.lower().startswith("fr") else "en"


def understand(text: str, language: str = "") -> Understanding:
    """Finds the request and the courtesies in an utterance.

    Args:
        text: As heard or typed.
        language: ISO 639-1 code that the recogniser gave, if any; the words themselves weigh more.
    """
    words = plain(text)
    spoken = guess_language(text, language)
    main = _first(_COMPILED, words, spoken)
    social = _first(_COMPILED_SOCIAL, words, spoken)
    if social is not None and social.name in ("insult", "compliment") and main is not None and main.name == "stop":
        social = None
    if main is not None:
        return Understanding(main, social, main.language, True)
    return Understanding(None, social, social.language if social else spoken, social is not None and _is_bare(words))


def _first(compiled: list[tuple[str, str, re.Pattern[str]]], words: str, spoken: str) -> Intent | None:
    """The first match, patterns of the spoken language before the others."""
    for preferred in (True, False):
        for name, language, pattern in compiled:
            if (language == spoken) is preferred and (match := pattern.search(words)):
                slots = {key.rstrip("2"): value for key, value in match.groupdict().items() if value}
                return Intent(name, slots, language)
    return None


def _is_bare(words: str) -> bool:
    """Whether nothing but courtesies and fillers is there, two unknown words (a name, a mishearing) aside."""
    rest = words
    for _, _, pattern in _COMPILED_SOCIAL:
        rest = pattern.sub(" ", rest)
    return len([word for word in rest.split() if word not in _FILLERS]) <= 1
