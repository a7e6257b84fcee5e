package secrets_test

import (
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/access/secrets"
)

func FuzzUsersFile(f *testing.F) {
	f.Add("ann admin " + reference + "\n# x\n\nbob monitor\t" + reference + " # y")
	f.Add("ann admin " + strings.Replace(reference, "m=65536", "m=065536", 1) + "\r\n")
	f.Add("ann admin x\n")
	fuzz(f, secrets.RewriteUsers)
}

func FuzzTokensFile(f *testing.F) {
	f.Add("ci monitor never " + strings.Repeat("0a", 32) + " # x\nops admin 2027-01-01T00:00:00.25+01:00 " + strings.Repeat("0B", 32))
	f.Add("ci monitor 9999-12-31T23:59:59-23:59 " + strings.Repeat("0a", 32))
	fuzz(f, secrets.RewriteTokens)
}

// A file that was parsed is written unchanged. A second rewrite of its records changes nothing.
func fuzz(f *testing.F, rewrite func(string) (as, again string, err error)) {
	f.Fuzz(func(t *testing.T, text string) {
		as, again, err := rewrite(text)
		if err != nil {
			return
		}
		if as != text {
			t.Fatalf("read %q, would write %q", text, as)
		}
		as, thrice, err := rewrite(again)
		if err != nil || as != again || thrice != again {
			t.Fatalf("%q was written anew as %q, and then as %q: %v", text, again, thrice, err)
		}
	})
}
