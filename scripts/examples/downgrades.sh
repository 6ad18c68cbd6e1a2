#!/bin/sh
# A line in a table (CSV) for each downgrade, and a note on the desktop where there is
# one. `bzredis react` runs it:
#
#   bzredis react downgrades --stream ratings \
#     --when 'direction == "down" and action != "deleted"' \
#     -- scripts/examples/downgrades.sh
#
# DOWNGRADES names the table, ~/downgrades.csv unless it is set. After a crash the same
# one may come twice: what stands there already is left as it is.
set -eu

table=${DOWNGRADES:-$HOME/downgrades.csv}
names=event,received,action,symbol,firm,rating_prior,rating,pt_prior,pt

line=
for value in "$BZ_EVENT" "${BZ_RECEIVED:-}" "${BZ_ACTION:-}" \
  "${BZ_SYMBOL:-}" "${BZ_FIRM:-}" \
  "${BZ_RATING_PRIOR:-}" "${BZ_RATING:-}" "${BZ_PT_PRIOR:-}" "${BZ_PT:-}"; do
  quoted=$(printf '%s' "$value" | sed 's/"/""/g')
  line=$line${line:+,}\"$quoted\"
done

[ -s "$table" ] || printf '%s\n' "$names" >"$table"
if ! grep -q "^\"$BZ_EVENT\"," "$table"; then
  printf '%s\n' "$line" >>"$table"
  if command -v notify-send >/dev/null; then
    # Nobody has to be at a desktop: that is no failure.
    notify-send -- "${BZ_SYMBOL:-?}: downgraded" \
      "${BZ_FIRM:-A firm} says ${BZ_RATING:-nothing}" || true
  fi
fi
