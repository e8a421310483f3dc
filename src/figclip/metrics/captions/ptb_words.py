"""Words that the official tokenizer treats apart, learnt by asking it.

Source: runs of the jar of `ptb.py` over every string of one to five letters and over 45 thousand
words, alone, before a full stop, before `. 5` and before `. The`, and with an apostrophe at every
place. What it did with a word was noted here; its sources were not read.
"""

from __future__ import annotations

# Keep their full stop wherever they stand: `mr.`, `jan.`.
ABBREVIATIONS = """
    adj adm adv al ala alex apr ariz assn assoc asst attys atty aug ave az bhd bldg blvd brig bros
    calif capt cf cie cmdr co col colo comdr conn corp cos cpl ct dak dec dept det dr drs elec ens
    esq est etc ext feb fla fri ft ga gen gov govs hon inc ind insp intl invt jan jos jr jul jun
    kan kans ky lieut lt ltd maj mar md messrs mfg mich minn mlle mme mo mon mont mr mrs ms msgr mt
    mtg natl neb nev nov oct okla penn pfc ph plc ppte pptes ppty pptys pres prof profs pte ptes
    pty ptys pvt rd rep reps rev rt sen sens sep sept seq sfc sgt spc sq sr st ste supt supts sys
    tel tenn thu thurs treas tue tues univ va vs vt wed wis wisc wm wyo
""".split()

# The same, but only with a capital, for they are words as well: `Miss.`, `Wash.`.
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
CLITICS = "d ll m re s ve D LL M RE S VE".split()

# Words that begin with an apostrophe or hold one that no rule explains.
APOSTROPHE_WORDS = "'em 'til 'till 'cause c'mon c'est e'er n'er".split()
