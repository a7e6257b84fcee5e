package mgr

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"

	"github.com/rudderpost/rudderpost/mgr/schema"
)

// Hidden is what is shown instead of a secret.
const Hidden = "***"

// A Secret is a text that nobody is to see: a password among a command's arguments, a key in a
// configuration. It is read as a string, and everything that prints, logs or encodes it writes Hidden.
// That holds inside of other values too, in fields that are not exported, and in a panic's text. The zero
// Secret is empty. Only Reveal returns the text.
type Secret struct {
	text *string // a pointer: fmt does not ask what is in fields that are not exported how they print
}

// NewSecret returns a Secret.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is no text in it.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// Equal reports whether s is text. How long it takes tells no more of s than its length.
func (s Secret) Equal(text string) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(text)) == 1
}

// String returns Hidden.
func (s Secret) String() string { return Hidden }

// GoString returns Hidden.
func (s Secret) GoString() string { return Hidden }

// Format writes Hidden, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Hidden) }

// LogValue returns Hidden.
func (s Secret) LogValue() slog.Value { return slog.StringValue(Hidden) }

// MarshalText returns Hidden, for JSON too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(Hidden), nil }

// UnmarshalText takes the text.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// JSONSchema implements schema.Schemer.
func (s Secret) JSONSchema() *schema.Schema { return &schema.Schema{Type: "string", Secret: true} }
