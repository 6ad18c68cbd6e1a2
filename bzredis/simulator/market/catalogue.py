"""The companies and the firms of the simulated market: tables, and what follows."""

from __future__ import annotations

from decimal import Decimal

import attrs

US = frozenset({"NYSE", "NASDAQ", "AMEX", "OTC"})


@attrs.frozen
class Company:
    """A listed security; targets are drawn around ``price``, in ``currency``."""

    ticker: str
    name: str
    exchange: str
    cusip: str
    price: Decimal = attrs.field(converter=Decimal)
    cik: str = ""

    @property
    def symbol(self) -> str:
        """The name under which it is unique: only US tickers stand bare."""
        bare = self.exchange in US
        return self.ticker if bare else f"{self.exchange}:{self.ticker}"

    @property
    def currency(self) -> str:
        return "USD" if self.exchange in US else "CAD"

    @property
    def isin(self) -> str:
        """The ISIN that the CUSIP has in the country of the exchange."""
        body = ("US" if self.exchange in US else "CA") + self.cusip
        return body + isin_check_digit(body)


def isin_check_digit(body: str) -> str:
    """Return the Luhn digit over the letters spelled as numbers (A = 10)."""
    digits = "".join(str(int(character, 36)) for character in body)
    total = 0
    for place, digit in enumerate(map(int, reversed(digits))):
        total += sum(divmod(2 * digit, 10)) if place % 2 == 0 else digit
    return str(-total % 10)


COMPANIES = (
    Company("AAPL", "Apple", "NASDAQ", "037833100", 230, "0000320193"),
    Company("MSFT", "Microsoft", "NASDAQ", "594918104", 420, "0000789019"),
    Company("AMZN", "Amazon.com", "NASDAQ", "023135106", 190, "0001018724"),
    Company("NVDA", "NVIDIA", "NASDAQ", "67066G104", 140, "0001045810"),
    Company("GOOGL", "Alphabet", "NASDAQ", "02079K305", 175, "0001652044"),
    Company("META", "Meta Platforms", "NASDAQ", "30303M102", 560, "0001326801"),
    Company("TSLA", "Tesla", "NASDAQ", "88160R101", 260, "0001318605"),
    Company("NFLX", "Netflix", "NASDAQ", "64110L106", 700, "0001065280"),
    Company("AMD", "Advanced Micro Devices", "NASDAQ", "007903107", 155),
    Company("INTC", "Intel", "NASDAQ", "458140100", 24, "0000050863"),
    Company("CSCO", "Cisco Systems", "NASDAQ", "17275R102", 54),
    Company("QCOM", "Qualcomm", "NASDAQ", "747525103", 170),
    Company("TXN", "Texas Instruments", "NASDAQ", "882508104", 200),
    Company("ADBE", "Adobe", "NASDAQ", "00724F101", 510),
    Company("COST", "Costco Wholesale", "NASDAQ", "22160K105", 890),
    Company("PEP", "PepsiCo", "NASDAQ", "713448108", 170),
    Company("SBUX", "Starbucks", "NASDAQ", "855244109", 97),
    Company("AMGN", "Amgen", "NASDAQ", "031162100", 320),
    Company("GILD", "Gilead Sciences", "NASDAQ", "375558103", 84),
    Company("PYPL", "PayPal Holdings", "NASDAQ", "70450Y103", 78),
    Company("ABNB", "Airbnb", "NASDAQ", "009066101", 132),
    Company("ROKU", "Roku", "NASDAQ", "77543R102", 76),
    Company("COIN", "Coinbase Global", "NASDAQ", "19260Q107", 200),
    Company("RIVN", "Rivian Automotive", "NASDAQ", "76954A103", 11),
    Company("BRK.B", "Berkshire Hathaway", "NYSE", "084670702", 460, "0001067983"),
    Company("BF.B", "Brown-Forman", "NYSE", "115637209", 46),
    Company("JPM", "JPMorgan Chase", "NYSE", "46625H100", 212, "0000019617"),
    Company("BAC", "Bank of America", "NYSE", "060505104", 40),
    Company("GS", "Goldman Sachs Group", "NYSE", "38141G104", 500),
    Company("MS", "Morgan Stanley", "NYSE", "617446448", 108),
    Company("WFC", "Wells Fargo", "NYSE", "949746101", 57),
    Company("V", "Visa", "NYSE", "92826C839", 277),
    Company("MA", "Mastercard", "NYSE", "57636Q104", 495),
    Company("JNJ", "Johnson & Johnson", "NYSE", "478160104", 161, "0000200406"),
    Company("PFE", "Pfizer", "NYSE", "717081103", 29),
    Company("LLY", "Eli Lilly", "NYSE", "532457108", 885),
    Company("MRK", "Merck & Co", "NYSE", "58933Y105", 110),
    Company("ABBV", "AbbVie", "NYSE", "00287Y109", 195),
    Company("UNH", "UnitedHealth Group", "NYSE", "91324P102", 585),
    Company("WMT", "Walmart", "NYSE", "931142103", 80, "0000104169"),
    Company("HD", "Home Depot", "NYSE", "437076102", 405),
    Company("PG", "Procter & Gamble", "NYSE", "742718109", 172),
    Company("KO", "Coca-Cola", "NYSE", "191216100", 70, "0000021344"),
    Company("MCD", "McDonald's", "NYSE", "580135101", 300),
    Company("NKE", "Nike", "NYSE", "654106103", 82),
    Company("DIS", "Walt Disney", "NYSE", "254687106", 95),
    Company("XOM", "Exxon Mobil", "NYSE", "30231G102", 120),
    Company("CVX", "Chevron", "NYSE", "166764100", 150),
    Company("BA", "Boeing", "NYSE", "097023105", 152),
    Company("CAT", "Caterpillar", "NYSE", "149123101", 390),
    Company("F", "Ford Motor", "NYSE", "345370860", 11),
    Company("GM", "General Motors", "NYSE", "37045V100", 46),
    Company("UBER", "Uber Technologies", "NYSE", "90353T100", 75),
    Company("T", "AT&T", "NYSE", "00206R102", 22, "0000732717"),
    Company("VZ", "Verizon Communications", "NYSE", "92343V104", 44),
    Company("IBM", "International Business Machines", "NYSE", "459200101", 220),
    Company("UEC", "Uranium Energy", "AMEX", "916896103", 7),
    Company("RHHBY", "Roche Holding", "OTC", "771195104", 39),
    Company("RY", "Royal Bank of Canada", "TSX", "780087102", 168),
    Company("SHOP", "Shopify", "TSX", "82509L107", 108),
    Company("ENB", "Enbridge", "TSX", "29250N105", 55),
    Company("T", "TELUS", "TSX", "87971M103", 23),  # the ticker of AT&T, elsewhere
    Company("CTS", "Converge Technology Solutions", "TSX", "21250C106", 5),
    Company("PNG", "Kraken Robotics", "TSXV", "50077N102", 2),
)

# Every firm has words of its own for the grades 1 (strong sell) to 5 (strong buy).
Scale = tuple[tuple[int, str], ...]
PLAIN: Scale = ((2, "Sell"), (3, "Hold"), (4, "Buy"))
PLAIN_FIVE: Scale = (
    (1, "Strong Sell"),
    (2, "Sell"),
    (3, "Hold"),
    (4, "Buy"),
    (5, "Strong Buy"),
)
NEUTRAL: Scale = ((2, "Sell"), (3, "Neutral"), (4, "Buy"))
WEIGHT: Scale = ((2, "Underweight"), (3, "Equal-Weight"), (4, "Overweight"))
WEIGHT_NEUTRAL: Scale = ((2, "Underweight"), (3, "Neutral"), (4, "Overweight"))
PERFORM: Scale = ((2, "Underperform"), (3, "Neutral"), (4, "Outperform"))
MARKET: Scale = (
    (2, "Market Underperform"),
    (3, "Market Perform"),
    (4, "Market Outperform"),
)
SECTOR: Scale = (
    (2, "Underperform"),
    (3, "Sector Perform"),
    (4, "Outperform"),
    (5, "Top Pick"),
)
REDUCE: Scale = ((1, "Sell"), (2, "Reduce"), (3, "Hold"), (4, "Add"), (5, "Buy"))


@attrs.frozen
class Analyst:
    id: str
    name: str


@attrs.frozen
class Firm:
    """A research house; an analyst of its covers each company for good."""

    id: str
    name: str
    scale: Scale
    analysts: tuple[Analyst, ...]

    def word(self, grade: int) -> str:
        return dict(self.scale)[grade]

    def analyst(self, company: Company) -> Analyst:
        return self.analysts[COMPANIES.index(company) % len(self.analysts)]


_FIRMS: tuple[tuple[str, Scale], ...] = (
    ("Alder & Finch", PLAIN),
    ("B. Riley Securities", NEUTRAL),
    ("Baird", PERFORM),
    ("Barclays", WEIGHT),
    ("Benchmark", PLAIN),
    ("BMO Capital", SECTOR),
    ("B of A Securities", NEUTRAL),
    ("Canaccord Genuity", PLAIN),
    ("Cantor Fitzgerald", WEIGHT_NEUTRAL),
    ("Citigroup", NEUTRAL),
    ("Craig-Hallum", PLAIN),
    ("Deutsche Bank", PLAIN),
    ("Evercore ISI Group", PERFORM),
    ("Goldman Sachs", NEUTRAL),
    ("HC Wainwright & Co.", NEUTRAL),
    ("HSBC", REDUCE),
    ("Jefferies", PLAIN_FIVE),
    ("JMP Securities", MARKET),
    ("JP Morgan", WEIGHT_NEUTRAL),
    ("Keybanc", WEIGHT),
    ("Loop Capital", PLAIN),
    ("Mizuho", PERFORM),
    ("Morgan Stanley", WEIGHT),
    ("Needham", PLAIN_FIVE),
    ("Oppenheimer", PERFORM),
    ("Piper Sandler", WEIGHT_NEUTRAL),
    ("Raymond James", PLAIN_FIVE),
    ("RBC Capital", SECTOR),
    ("Scotiabank", SECTOR),
    ("Truist Securities", PLAIN),
    ("UBS", NEUTRAL),
    ("Wells Fargo", WEIGHT),
)
_GIVEN = ("Ann", "Brian", "Chloé", "David", "Erin", "Faisal", "Grace", "Hiro", "Inés")
_FAMILY = (
    "Okafor",
    "Keller",
    "Lindqvist",
    "Moreau",
    "Novak",
    "O'Hara",
    "Park",
    "Quint",
)
ANALYSTS_PER_FIRM = 3


def _analyst(number: int) -> Analyst:
    given, family = _GIVEN[number % len(_GIVEN)], _FAMILY[number % len(_FAMILY)]
    middle = chr(ord("A") + number % 26)
    return Analyst(f"5cf1e2a3b{number:015x}", f"{given} {middle}. {family}")


FIRMS = tuple(
    Firm(
        f"5e4fd1f2c{number:015x}",
        name,
        scale,
        tuple(
            _analyst(ANALYSTS_PER_FIRM * number + n) for n in range(ANALYSTS_PER_FIRM)
        ),
    )
    for number, (name, scale) in enumerate(_FIRMS)
)

COVERAGE = 4  # one firm in so many covers a company


def coverers(company: Company) -> tuple[Firm, ...]:
    """Return the firms that follow a company unless told otherwise."""
    return FIRMS[COMPANIES.index(company) % COVERAGE :: COVERAGE]
