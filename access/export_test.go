package access

import "github.com/rudderpost/rudderpost/transport"

// The functions that tests compare with slow and obvious ones.
var (
	MatchesPattern = matchesPattern
	ParsePointer   = parsePointer
	Find           = find
)

// MaxCached is the number of commands in the cache of a ruleset.
const MaxCached = maxCached

// Equals reports whether a JSON value equals a value of an ArgumentRule.
func Equals(value any, argument []byte) bool {
	s, err := scalarOf(value)
	return err == nil && s.equals(argument)
}

// Assumed makes the credentials that access-explain makes of subjects.
func (p *Policy) Assumed(subjects []string) ([]transport.Credential, error) {
	return p.assumed(subjects)
}
