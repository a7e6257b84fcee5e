package secrets

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// Tokens is a tokens-file. Its methods may be called by many at once.
type Tokens struct {
	// OnError is told when the file can no longer be read, or makes no sense; once for each cause.
	// What it said before stays in force. Set it before anything else is done with the Tokens.
	OnError func(error)

	file file[*tokenRecord]
}

// A Token is one line of the tokens-file, without its sum, and, where an [Authenticator] returns it,
// the credential of a client that has the secret.
type Token struct {
	ID      string
	Role    string    // when the file was read; Tokens.Role knows the present one
	Expires time.Time // zero: never

	subject string
	record  *tokenRecord
	file    *Tokens // which proved it; nil: none did
}

var _ transport.Revocable = Token{}

// Subject implements transport.Credential: "token:ci".
func (t Token) Subject() string {
	if t.subject == "" {
		return "token:" + t.ID
	}
	return t.subject
}

// Revoked implements transport.Revocable: the token has expired, or has been removed or replaced, since
// an Authenticator returned it. Another role is not enough.
func (t Token) Revoked() bool {
	if t.file == nil {
		return false
	}
	_, ok := t.file.Role(t)
	return !ok
}

// Expired reports whether the token was good until now or earlier.
func (t Token) Expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// OpenTokens opens a tokens-file, and makes an empty one if there is none. The conditions are those of OpenUsers.
func OpenTokens(path string, trustOwners ...uint32) (*Tokens, error) {
	t := &Tokens{}
	t.file.path, t.file.trust, t.file.format = path, trustOwners, tokenFormat
	t.file.onError = func(err error) {
		if t.OnError != nil {
			t.OnError(fmt.Errorf("tokens file: %w", err))
		}
	}
	if err := t.file.open(); err != nil {
		return nil, fmt.Errorf("tokens file: %w", err)
	}
	return t, nil
}

// List returns the tokens, expired ones too, in the order of the file.
func (t *Tokens) List() []Token {
	var all []Token
	for _, r := range t.file.current().records() {
		all = append(all, r.token)
	}
	return all
}

// Role returns the role that a token has now. There is none for one that has expired, or has been
// removed since the Token was proven, also if there is another of the same id.
func (t *Tokens) Role(token Token) (role string, ok bool) {
	r := t.file.current().byKey[token.ID]
	if r == nil || token.record != nil && token.record.sum != r.sum || r.token.Expired(time.Now()) {
		return "", false
	}
	return r.token.Role, true
}

// Mint makes a token and returns its secret, which is nowhere else: the file has only its sum. The
// role is the name of one, which need not be among Roles; the id goes by the same rule as a DNS label in lower case, so that it is safe
// in names of files and metrics. The zero expires is never; fractions of a second are cut off.
func (t *Tokens) Mint(id, role string, expires time.Time) (secret string, err error) {
	if err := checkTokenID(id); err != nil {
		return "", err
	}
	if err := CheckRole(role); err != nil {
		return "", err
	}
	if expires, err = checkExpires(expires); err != nil {
		return "", err
	}
	random := make([]byte, tokenBytes)
	_, _ = rand.Read(random) // never fails
	secret = tokenPrefix + id + "_" + base64.RawURLEncoding.EncodeToString(random)
	r := newTokenRecord(id, role, expires, sha256.Sum256([]byte(secret)))
	err = t.file.edit(func(l *lines[*tokenRecord]) error {
		if l.byKey[id] != nil {
			return fmt.Errorf("there is a token %q already; remove it first, or choose another id", id)
		}
		l.put(r)
		return nil
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

func checkExpires(at time.Time) (time.Time, error) {
	if at.IsZero() {
		return at, nil
	}
	at = at.UTC().Truncate(time.Second)
	switch {
	case !at.After(time.Now()):
		return at, fmt.Errorf("a token that expires at %s is of no use to anybody", at.Format(time.RFC3339))
	case at.Year() > 9999: // RFC 3339 has four digits
		return at, errors.New("a token cannot expire after the year 9999; let it expire never")
	}
	return at, nil
}

// Remove removes a token, which ends what it allowed.
func (t *Tokens) Remove(id string) error {
	return t.file.edit(func(l *lines[*tokenRecord]) error {
		if l.byKey[id] == nil {
			return fmt.Errorf("there is no token %q", shorten(id))
		}
		l.remove(id)
		return nil
	})
}
