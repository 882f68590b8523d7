# Prints TAP.
cd "$(dirname "$0")/.." || exit 2
. src/slug.sh
number=0
failed=0
check() {
  number=$((number + 1))
  if [ "$2" = "$3" ]; then
    echo "ok $number - $1"
  else
    failed=1
    echo "not ok $number - $1"
    echo "# src/slug.sh:5: expected '$3', got '$2'"
  fi
}
check lower "$(slug HELLO)" hello
check spaces "$(slug 'a  b c')" a-b-c
check inner_punctuation "$(slug 'rock & roll')" rock-roll
check ends_clean "$(slug 'Hello, World!')" hello-world
check begins_clean "$(slug '  (draft) plan')" draft-plan
check short "$(short_slug 'one two three' 9)" one-two
check short_one_word "$(short_slug 'internationalisation' 5)" inter
check short_fits "$(short_slug 'one two' 7)" one-two
echo "1..$number"
exit $failed
