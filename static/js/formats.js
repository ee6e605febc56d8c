// The rules of speedtrade/lib/formats.json; a test keeps the two equal.
export default {
  "locale": "en-US",
  "currency": "$",
  "minus": "−",
  "plus": "+",
  "missing": "—",
  "missing_words": "not available",
  "up": "▲",
  "down": "▼",
  "up_words": "up",
  "down_words": "down",
  "money_decimals": 2,
  "money_decimals_most": 8,
  "price_decimals_least": 2,
  "price_decimals_most": 8,
  "price_small_below": 1,
  "price_small_decimals": 4,
  "qty_decimals_most": 10,
  "pct_decimals": 2,
  "compact_from": 10000,
  "compact_units": [
    [
      1000000000000,
      "T"
    ],
    [
      1000000000,
      "B"
    ],
    [
      1000000,
      "M"
    ],
    [
      1000,
      "K"
    ]
  ],
  "compact_decimals": 2
};
