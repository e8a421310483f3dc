"""Words that the official tokenizer treats apart, learnt by asking it.

Source: runs of the jar of `ptb.py` over every string of one to five letters and over 45 thousand
words, alone, before a full stop, before `. 5`, `.x` and `. The`, and with an apostrophe at every
place. What it did with a word was noted here; its sources were not read.
"""

from __future__ import annotations

# Keep their full stop wherever they stand: `mr.`, `jan.`. A letter right behind it makes one word
# with a title (`mr.x`), but not with the others (`inc. x`).
TITLES = """
    adj adm adv alex assoc asst atty attys ave brig capt cf cie cmdr col comdr cpl dept det dr drs
    elec ens ft gen gov govs hon insp invt jos lieut lt maj messrs mfg mlle mme mr mrs ms msgr mt
    mtg natl pfc ph pres prof profs pvt rep reps rev sen sens sfc sgt spc st ste supt supts treas vs
    wm
""".split()
OTHER_ABBREVIATIONS = """
    al ala apr ariz assn aug az bhd bldg blvd bros calif co colo conn corp cos ct dak dec esq est
    etc ext feb fla fri ga inc ind intl jan jr jul jun kan kans ky ltd mar md mich minn mo mon mont
    neb nev nov oct okla penn plc ppte pptes ppty pptys pte ptes pty ptys rd rt sep sept seq sq sr
    sys tel tenn thu thurs tue tues univ va vt wed wis wisc wyo
""".split()

# As the others, but only with a capital, for they are words as well: `Miss.`, `Wash.`.
CAPITAL_ABBREVIATIONS = "Ark Az Del Ill La Mass Miss Ore Pa Tex Wash".split()

# Keep their full stop before a number: `no. 5`, `figs. 5`.
NUMBER_ABBREVIATIONS = "art ca fig figs no nos op pp prop".split()

# A letter and a full stop before one of these ends a sentence: `grade F. The`.
SENTENCE_STARTS = """
    A About According Additionally After An As At But Earlier He Her Here However If In It Last
    Many More Now Once One Other Our She Since So Some Such That The Their Then There These They
    This We What When While Yet You
""".split()

# Written as one word, two words of the Treebank.
JOINED_WORDS = [word.split("|") for word in "can|not gim|me gon|na got|ta lem|me wan|na".split()]

# What follows a word after an apostrophe and is a word of its own: `she'll`.
CLITICS = "d ll m re s ve".split()

# Words that begin with an apostrophe or hold one that no rule explains; the last two only `'`.
APOSTROPHE_WORDS = "'em 'til 'till 'cause c'est n'er".split()
STRAIGHT_APOSTROPHE_WORDS = "c'mon e'er".split()
