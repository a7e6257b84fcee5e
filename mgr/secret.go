package mgr

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"

	"github.com/rudderpost/rudderpost/mgr/schema"
)

// Hidden is the text that is shown for a secret.
const Hidden = "***"

// A Secret is a text that is never shown: a password in the arguments of a command, or a key in a configuration. JSON decodes
// it from a string. Everything that prints, logs or encodes it writes Hidden, also inside other values, in unexported fields,
// and in the text of a panic. The zero Secret is empty. Only Reveal returns the text.
type Secret struct {
	text *string // a pointer, since fmt prints unexported fields without calling their methods
}

// NewSecret returns a Secret with a text.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether the text is empty.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// Equal reports whether text is the text of s. Its duration depends on the lengths only.
func (s Secret) Equal(text string) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(text)) == 1
}

// String returns Hidden.
func (s Secret) String() string { return Hidden }

// GoString returns Hidden.
func (s Secret) GoString() string { return Hidden }

// Format writes Hidden for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Hidden) }

// LogValue returns Hidden.
func (s Secret) LogValue() slog.Value { return slog.StringValue(Hidden) }

// MarshalText returns Hidden. JSON uses it, too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(Hidden), nil }

// UnmarshalText sets the text.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// JSONSchema implements schema.Schemer: a string that is marked as secret.
func (s Secret) JSONSchema() *schema.Schema { return &schema.Schema{Type: "string", Secret: true} }
