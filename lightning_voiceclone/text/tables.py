"""What abbreviations, units, currencies and names of places stand for, in American English."""

MONTHS = (
    "january february march april may june july august september october november december"
).split()  # fmt: skip
MONTH_NAMES = {name: name for name in MONTHS} | {name[:3]: name for name in MONTHS} | {"sept": "september"}
DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
DAY_NAMES = {name[:3]: name for name in DAYS} | {"tues": "tuesday", "thur": "thursday", "thurs": "thursday"}

# Abbreviations that a period ends, whatever stands around them. Those of months and days are above.
ABBREVIATIONS = {
    "mr": "mister", "mrs": "missus", "ms": "miz", "prof": "professor", "gen": "general", "capt": "captain",
    "sgt": "sergeant", "lt": "lieutenant", "col": "colonel", "sen": "senator", "gov": "governor", "rev": "reverend",
    "hon": "honorable", "msgr": "monsignor", "cmdr": "commander", "maj": "major", "pres": "president",
    "jr": "junior", "sr": "senior", "esq": "esquire",
    "etc": "et cetera", "vs": "versus", "approx": "approximately", "dept": "department", "est": "established",
    "inc": "incorporated", "ltd": "limited", "corp": "corporation", "co": "company", "bros": "brothers",
    "assoc": "associate", "univ": "university", "inst": "institute", "intl": "international", "govt": "government",
    "vol": "volume", "fig": "figure", "figs": "figures", "ch": "chapter", "sec": "section", "eq": "equation",
    "ed": "edition", "min": "minimum", "max": "maximum", "avg": "average", "misc": "miscellaneous",
    "ave": "avenue", "blvd": "boulevard", "rd": "road", "ln": "lane", "pl": "place", "sq": "square", "hwy": "highway",
    "apt": "apartment", "mt": "mount", "ft": "fort", "ext": "extension", "tel": "telephone",
    "cf": "compare", "al": "al",
}  # fmt: skip
# Those that are no abbreviation without the period, or only before a number or a name.
NEEDS_PERIOD = set(
    "co gen col sen gov rev hon sec ed min max pres ch ext tel fig pl ln sq al est ave cf mt ft maj inst"
    " vol eq approx".split()
)
BARE = set("mr mrs ms jr sr vs etc dept ltd corp blvd rd apt approx govt intl ave hwy prof inc".split())
BEFORE_NUMBER = {"no": "number", "nos": "numbers", "p": "page", "pp": "pages", "art": "article", "par": "paragraph"}
OTHER = {
    "w/o": "without", "w/": "with", "a.k.a.": "also known as", "phd": "p h d", "ph.d.": "p h d", "e.g.": "for example",
    "i.e.": "that is", "p.o.": "p o", "o'clock": "o'clock",
}  # fmt: skip
DIRECTIONS = {"N": "north", "S": "south", "E": "east", "W": "west", "NE": "northeast", "NW": "northwest",
              "SE": "southeast", "SW": "southwest"}  # fmt: skip
STREETS = "St|Street|Ave|Avenue|Rd|Road|Blvd|Boulevard|Ln|Lane|Pl|Place|Dr|Drive|Ct|Court|Way|Sq|Square|Hwy|Highway"
STATES = dict(line.split(" ", 1) for line in (
    "AL alabama|AK alaska|AZ arizona|AR arkansas|CA california|CO colorado|CT connecticut|DE delaware|FL florida|"
    "GA georgia|HI hawaii|ID idaho|IL illinois|IN indiana|IA iowa|KS kansas|KY kentucky|LA louisiana|ME maine|"
    "MD maryland|MA massachusetts|MI michigan|MN minnesota|MS mississippi|MO missouri|MT montana|NE nebraska|"
    "NV nevada|NH new hampshire|NJ new jersey|NM new mexico|NY new york|NC north carolina|ND north dakota|OH ohio|"
    "OK oklahoma|OR oregon|PA pennsylvania|RI rhode island|SC south carolina|SD south dakota|TN tennessee|TX texas|"
    "UT utah|VT vermont|VA virginia|WA washington|WV west virginia|WI wisconsin|WY wyoming|DC d c"
).split("|"))  # fmt: skip

# Singular and plural; as they are written, for a unit's case counts.
UNITS = {
    "km/h": ("kilometer per hour", "kilometers per hour"), "m/s": ("meter per second", "meters per second"),
    "mph": ("mile per hour", "miles per hour"), "Mbps": ("megabit per second", "megabits per second"),
    "kbps": ("kilobit per second", "kilobits per second"), "Gbps": ("gigabit per second", "gigabits per second"),
    "km²": ("square kilometer", "square kilometers"), "m²": ("square meter", "square meters"),
    "m2": ("square meter", "square meters"), "cm²": ("square centimeter", "square centimeters"),
    "m³": ("cubic meter", "cubic meters"), "m3": ("cubic meter", "cubic meters"),
    "sq ft": ("square foot", "square feet"), "sq. ft.": ("square foot", "square feet"),
    "°C": ("degree celsius", "degrees celsius"), "°F": ("degree fahrenheit", "degrees fahrenheit"),
    "°": ("degree", "degrees"), "%": ("percent", "percent"), "‰": ("per mille", "per mille"),
    "ft": ("foot", "feet"), "in.": ("inch", "inches"), "lbs": ("pounds", "pounds"), "Hz": ("hertz", "hertz"),
    "kHz": ("kilohertz", "kilohertz"), "MHz": ("megahertz", "megahertz"), "GHz": ("gigahertz", "gigahertz"),
    "dB": ("decibel", "decibels"), "hrs": ("hours", "hours"), "kWh": ("kilowatt hour", "kilowatt hours"),
} | {short: (name, name + "s") for short, name in (pair.split(":") for pair in (
    "km:kilometer m:meter cm:centimeter mm:millimeter nm:nanometer µm:micrometer mi:mile yd:yard kg:kilogram g:gram"
    " mg:milligram lb:pound oz:ounce l:liter L:liter ml:milliliter mL:milliliter gal:gallon kB:kilobyte KB:kilobyte"
    " MB:megabyte GB:gigabyte TB:terabyte s:second sec:second ms:millisecond min:minute mins:minute h:hour hr:hour"
    " W:watt kW:kilowatt MW:megawatt V:volt kV:kilovolt mA:milliamp kcal:kilocalorie cal:calorie J:joule kJ:kilojoule"
    " px:pixel dpi:dot kPa:kilopascal"
).split())}  # fmt: skip

# Unit and hundredth, each in the singular and the plural.
CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"), "US$": ("u s dollar", "u s dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"), "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"), "₹": ("rupee", "rupees", "paisa", "paise"),
    "CA$": ("canadian dollar", "canadian dollars", "cent", "cents"),
}  # fmt: skip
CODES = {
    "USD": ("u s dollar", "u s dollars"), "EUR": ("euro", "euros"), "GBP": ("pound", "pounds"), "JPY": ("yen", "yen"),
    "CAD": ("canadian dollar", "canadian dollars"), "CHF": ("swiss franc", "swiss francs"),
}  # fmt: skip
SCALES = {"k": "thousand", "m": "million", "mn": "million", "mm": "million", "b": "billion", "bn": "billion",
          "t": "trillion", "tn": "trillion"}  # fmt: skip
FRACTIONS = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅛": "1/8", "⅜": "3/8",
             "⅝": "5/8", "⅞": "7/8"}  # fmt: skip

# Capitals that are words, and those of up to three letters that are only emphasis.
SPOKEN_CAPITALS = set(
    "nasa nato aids laser radar ram rom covid opec unesco unicef scuba sonar fema nafta asap gif jpeg pin sim"
    " swat yolo fifa ikea lego nascar isis".split()
)
SHORT_WORDS = set(
    "a i am an and any are as at be but by can did do for get go got had has he her him his how if in is it its let"
    " may me my new no nor not now of off oh ok old on one or our out own put ran run saw say see she sit so stop the"
    " to too two up use was way we who why will yes yet you all ask bad big day eat end few god hot man men mom dad"
    " boy car cat dog far fun job key law lot map red sea son sun ten top war win wow hey bye".split()
)
MONARCHS = set(
    "louis henry elizabeth paul charles george edward william james richard philip napoleon pius benedict francis leo"
    " gregory innocent clement alexander nicholas catherine peter ivan frederick wilhelm ferdinand constantine mary"
    " alfonso christian gustav leopold ptolemy ramses thutmose cleopatra darius xerxes urban boniface adrian".split()
)
NUMBERED = set(
    "chapter part act scene volume war bowl section book article phase type class title appendix level stage grade"
    " figure table unit lesson step mark division group tier".split()
)
SYMBOLS = {
    "&": "and", "+": "plus", "=": "equals", "×": "times", "÷": "divided by", "±": "plus or minus", "<": "is less than",
    ">": "is greater than", "≤": "is at most", "≥": "is at least", "≠": "is not equal to", "≈": "is about",
    "©": "copyright", "®": "registered", "™": "trademark", "%": "percent", "@": "at", "#": "number", "~": "about",
    "°": "degrees", "∞": "infinity", "√": "the square root of", "$": "dollars", "£": "pounds", "€": "euros",
    "§": "section", "→": "to", "−": "minus", "π": "pi", "µ": "micro",
}  # fmt: skip
LETTERS = {"ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "þ": "th", "ð": "th", "ı": "i"}
APOSTROPHES = set("'n' 'em 'til 'tis 'twas 'cause 'bout 'round 'n".split())
