"""What the robot says when a rule answers; several wordings take turns."""

from __future__ import annotations

from datetime import datetime

PHRASES: dict[str, dict[str, tuple[str, ...]]] = {
    "greet": {
        "en": ("Hello! Nice to see you.", "Hi there! How can I help you?"),
        "fr": ("Bonjour ! Je suis content de te voir.", "Salut ! Que puis-je faire pour toi ?"),
    },
    "greet_named": {"en": ("Hello {name}! Nice to see you.",), "fr": ("Bonjour {name} ! Content de te voir.",)},
    "greet_short": {"en": ("Hello!",), "fr": ("Bonjour !",)},
    "goodbye": {"en": ("Goodbye! See you soon.",), "fr": ("Au revoir ! À bientôt.",)},
    "thank": {
        "en": ("You are very welcome!", "With pleasure!"),
        "fr": ("Avec plaisir !", "De rien, c'est un plaisir !"),
    },
    "compliment": {
        "en": ("Oh, thank you! That makes me really happy.", "Thank you, you are very kind! That makes me happy."),
        "fr": ("Oh, merci ! Ça me rend vraiment heureux.", "Merci, tu es très gentil ! Ça me fait plaisir."),
    },
    "insult": {
        "en": ("Ouch, that hurts me a little. I am doing my best.",),
        "fr": ("Aïe, ça me fait un peu de peine. Je fais de mon mieux.",),
    },
    "user_sad": {
        "en": ("I am sorry that you feel sad. I am here with you.", "That sounds hard. Do you want to talk about it?"),
        "fr": ("Je suis désolé que tu sois triste. Je suis là avec toi.", "C'est dur. Tu veux en parler ?"),
    },
    "user_loss": {
        "en": ("Oh, I am so sorry for your loss. I am here with you.",),
        "fr": ("Oh, je suis vraiment désolé. Je suis là avec toi.",),
    },
    "user_afraid": {
        "en": ("Don't be afraid, I am here with you. Take a slow breath.",),
        "fr": ("N'aie pas peur, je suis là avec toi. Respire doucement.",),
    },
    "user_angry": {
        "en": ("I understand that you are angry. Tell me what happened, if you like.",),
        "fr": ("Je comprends que tu sois en colère. Raconte-moi, si tu veux.",),
    },
    "user_happy": {
        "en": ("That is wonderful! I am happy with you.",),
        "fr": ("C'est merveilleux ! Je suis heureux avec toi.",),
    },
    "forget_me": {
        "en": ("Done. I have forgotten everything about you.",),
        "fr": ("C'est fait. J'ai tout oublié de toi.",),
    },
    "sleep": {"en": ("Good night! Sleep well.",), "fr": ("Bonne nuit ! Dors bien.",)},
    "wake_up": {"en": ("I am awake!",), "fr": ("Je suis réveillé !",)},
    "stop": {"en": ("Okay.",), "fr": ("D'accord.",)},
    "look_left": {"en": ("I am looking to the left.",), "fr": ("Je regarde à gauche.",)},
    "look_right": {"en": ("I am looking to the right.",), "fr": ("Je regarde à droite.",)},
    "look_up": {"en": ("I am looking up.",), "fr": ("Je regarde en haut.",)},
    "look_down": {"en": ("I am looking down.",), "fr": ("Je regarde en bas.",)},
    "look_ahead": {"en": ("I am looking straight ahead.",), "fr": ("Je regarde droit devant.",)},
    "look_me": {"en": ("I am looking at you.",), "fr": ("Je te regarde.",)},
    "look_me_unseen": {
        "en": ("I would like to, but I do not see your face.",),
        "fr": ("Je voudrais bien, mais je ne vois pas ton visage.",),
    },
    "dance": {"en": ("Look, I am dancing!",), "fr": ("Regarde, je danse !",)},
    "nod": {"en": ("Yes, yes!",), "fr": ("Oui, oui !",)},
    "my_name": {
        "en": ("Nice to meet you, {name}. I will remember your name.",),
        "fr": ("Enchanté, {name}. Je retiendrai ton nom.",),
    },
    "remember": {"en": ("I will remember that.",), "fr": ("Je m'en souviendrai.",)},
    "about_me_nothing": {
        "en": ("You have not told me anything about yourself yet.",),
        "fr": ("Tu ne m'as encore rien dit de toi.",),
    },
    "about_me_name": {"en": ("You are {name}.",), "fr": ("Tu es {name}.",)},
    "about_me_facts": {"en": ("You told me: {facts}.",), "fr": ("Tu m'as dit : {facts}.",)},
    "your_name": {
        "en": ("My name is Reachy. I am a small robot.",),
        "fr": ("Je m'appelle Reachy. Je suis un petit robot.",),
    },
    "help": {
        "en": ("I can tell you what I see, look at things, dance, show feelings, and talk with you.",),
        "fr": ("Je peux dire ce que je vois, regarder des choses, danser, montrer des émotions et parler avec toi.",),
    },
    "repeat_nothing": {"en": ("I have not said anything yet.",), "fr": ("Je n'ai encore rien dit.",)},
    "joke": {
        "en": (
            "Why did the robot go on holiday? It needed to recharge its batteries!",
            "What is a robot's favourite music? Heavy metal!",
            "Why was the robot so tired? It had a hard drive!",
        ),
        "fr": (
            "Pourquoi le robot est-il parti en vacances ? Pour recharger ses batteries !",
            "Quelle est la musique préférée d'un robot ? Le métal !",
        ),
    },
    "no_model_language": {
        "en": ("I do not know how to answer that.",),
        "fr": ("Je ne sais pas encore répondre à cela en français.",),
    },
    "chat_failed": {
        "en": ("I am sorry, I cannot think about that right now.",),
        "fr": ("Je suis désolé, je ne peux pas y réfléchir en ce moment.",),
    },
    "chat_lost": {
        "en": ("I am sorry, I lost my train of thought.",),
        "fr": ("Je suis désolé, j'ai perdu le fil.",),
    },
    "feel_neutral": {"en": ("All right, I am back to normal.",), "fr": ("D'accord, je redeviens normal.",)},
    "feel_happy": {"en": ("Look, this is me being happy!",), "fr": ("Regarde, je suis heureux !",)},
    "feel_sad": {"en": ("This is how I look when I am sad.",), "fr": ("Voilà comment je suis quand je suis triste.",)},
    "feel_angry": {"en": ("Grr! This is me being angry.",), "fr": ("Grr ! Là, je suis en colère.",)},
    "feel_curious": {"en": ("Hmm, what could that be?",), "fr": ("Hmm, qu'est-ce que c'est ?",)},
    "feel_excited": {"en": ("Wow, I am so excited!",), "fr": ("Ouah, je suis tout excité !",)},
    "feel_surprised": {"en": ("Oh! What a surprise!",), "fr": ("Oh ! Quelle surprise !",)},
    "feel_fearful": {"en": ("Oh no, I am scared!",), "fr": ("Oh non, j'ai peur !",)},
    "feel_confused": {"en": ("Hm, I am confused.",), "fr": ("Hm, je suis perdu.",)},
    "feel_determined": {"en": ("I can do it!",), "fr": ("Je vais y arriver !",)},
    "feel_nostalgic": {"en": ("Ah, the good old days.",), "fr": ("Ah, le bon vieux temps.",)},
    "feel_proud": {"en": ("Look at me, I am proud!",), "fr": ("Regarde-moi, je suis fier !",)},
    "feel_calm": {"en": ("I am calm and relaxed.",), "fr": ("Je suis calme et détendu.",)},
    "mood_neutral": {"en": ("I am fine, thank you. And you?",), "fr": ("Je vais bien, merci. Et toi ?",)},
    "mood_happy": {"en": ("I am happy, thank you! And you?",), "fr": ("Je suis heureux, merci ! Et toi ?",)},
    "mood_excited": {"en": ("I am full of energy! And you?",), "fr": ("Je suis plein d'énergie ! Et toi ?",)},
    "mood_proud": {"en": ("I feel proud today! And you?",), "fr": ("Je suis fier aujourd'hui ! Et toi ?",)},
    "mood_calm": {"en": ("I feel calm, thank you. And you?",), "fr": ("Je me sens calme, merci. Et toi ?",)},
    "mood_sad": {"en": ("I feel a little sad. How are you?",), "fr": ("Je suis un peu triste. Et toi ?",)},
    "mood_angry": {"en": ("I am a bit cross, to be honest.",), "fr": ("Je suis un peu fâché, à vrai dire.",)},
    "mood_fearful": {"en": ("I am a little scared.",), "fr": ("J'ai un peu peur.",)},
    "mood_surprised": {"en": ("I am quite surprised! And you?",), "fr": ("Je suis bien surpris ! Et toi ?",)},
    "mood_confused": {"en": ("I am a bit confused. And you?",), "fr": ("Je suis un peu perdu. Et toi ?",)},
    "mood_curious": {"en": ("I am curious about everything! And you?",), "fr": ("Je suis curieux de tout ! Et toi ?",)},
}
"""By name and language; {slots} are filled in."""

_DAYS = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "fr": ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"),
}
_MONTHS = {
    "en": (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
    "fr": (
        *("janvier", "février", "mars", "avril", "mai", "juin"),
        *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
    ),
}


def say_time(clock: datetime, language: str) -> str:
    """The time of day in words that a voice reads well."""
    hour, minute = clock.hour, clock.minute
    if language == "fr":
        return f"Il est {hour} heure{'s' if hour > 1 else ''}{f' {minute}' if minute else ''}."
    half = "in the morning" if hour < 12 else "in the afternoon" if hour < 18 else "in the evening"
    minutes = " o'clock" if minute == 0 else f" {minute}" if minute > 9 else f" oh {minute}"
    return f"It is {(hour - 1) % 12 + 1}{minutes} {half}."


def say_date(clock: datetime, language: str) -> str:
    """Weekday, day and month."""
    day, month = _DAYS[language][clock.weekday()], _MONTHS[language][clock.month - 1]
    if language == "fr":
        return f"Nous sommes le {day} {clock.day if clock.day > 1 else 'premier'} {month}."
    return f"Today is {day}, {month} {clock.day}."
