package access

import "github.com/rudderpost/rudderpost/transport"

// What tests compare with something slow and obvious.
var (
	MatchesGlob  = matchesGlob
	ParsePointer = parsePointer
	Find         = find
)

// MaxRows is for how many commands verdicts are remembered.
const MaxRows = maxRows

// IsValue reports whether an argument that is looked at is one of the values of a rule.
func IsValue(value any, argument []byte) bool {
	s, err := scalarOf(value)
	return err == nil && s.is(argument)
}

// Given is what access-explain makes of subjects.
func (p *Policy) Given(subjects []string) ([]transport.Credential, error) { return p.given(subjects) }
