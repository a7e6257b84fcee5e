package secrets

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// Tokens is a tokens-file. Its methods may be called concurrently. Those that change the file block up to 10 s while
// another program changes it.
type Tokens struct {
	// OnError is called when the file cannot be read any more, or is not valid; once for each cause. The old contents
	// stay in force. It is called on the goroutine that uses the Tokens, and must not call their methods. Set it
	// before the first use. nil: errors are ignored.
	OnError func(error)

	file file[*tokenRecord]
}

// A Token is one line of the tokens-file, without its sum. A Token that an [Authenticator] returns is the credential
// of a client that has proven to have the secret.
type Token struct {
	ID      string
	Role    string    // the role when the file was read; Tokens.Role returns the present one
	Expires time.Time // zero: never

	subject string
	record  *tokenRecord
	file    *Tokens // the file against which it was proven; nil: it was not proven
}

var _ transport.Revocable = Token{}

// Subject implements transport.Credential: "token:ci".
func (t Token) Subject() string {
	if t.subject == "" {
		return "token:" + t.ID
	}
	return t.subject
}

// Revoked implements transport.Revocable. It reports whether the token has expired, or was removed or replaced, since
// an Authenticator returned it. A changed role revokes nothing.
func (t Token) Revoked() bool {
	if t.file == nil {
		return false
	}
	_, ok := t.file.Role(t)
	return !ok
}

// Expired reports whether the token is expired at the time now.
func (t Token) Expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// OpenTokens opens a tokens-file, and creates an empty one if it does not exist. The conditions are those of OpenUsers.
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

// List returns the tokens in the order of the file, also expired ones. The caller owns the slice.
func (t *Tokens) List() []Token {
	var all []Token
	for _, r := range t.file.current().records() {
		all = append(all, r.token)
	}
	return all
}

// Role returns the role that a token has now. ok is false if the token has expired, or was removed after the Token was
// proven, also if there is another token of the same id. A Token that was not proven is looked up by its id.
func (t *Tokens) Role(token Token) (role string, ok bool) {
	r := t.file.current().byKey[token.ID]
	if r == nil || token.record != nil && token.record.sum != r.sum || r.token.Expired(time.Now()) {
		return "", false
	}
	return r.token.Role, true
}

// Mint makes a token and returns its secret. The secret is not stored; the file has only its SHA-256. id has up to 64
// lower-case letters, digits and hyphens and begins with a letter or digit, so that it is safe in names of files and
// metrics. role must have the form of a role's name, and need not be among Roles. expires is truncated to seconds;
// the zero time means never.
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
		return at, fmt.Errorf("a token cannot expire at %s, which is in the past", at.Format(time.RFC3339))
	case at.Year() > 9999: // RFC 3339 has four digits
		return at, errors.New("a token cannot expire after the year 9999; let it expire never")
	}
	return at, nil
}

// Remove removes a token. All credentials that were proven with it are revoked.
func (t *Tokens) Remove(id string) error {
	return t.file.edit(func(l *lines[*tokenRecord]) error {
		if l.byKey[id] == nil {
			return fmt.Errorf("there is no token %q", shorten(id))
		}
		l.remove(id)
		return nil
	})
}

// A token is tokenPrefix, its id, "_", and tokenBytes random bytes in base64url. The prefix lets
// programs find leaked tokens in source code and logs.
const (
	tokenPrefix = "rpt_"
	tokenBytes  = 32
)

var tokenFormat = format[*tokenRecord]{"ID ROLE EXPIRES SHA-256", parseToken}

// A tokenRecord is a line of a tokens-file.
type tokenRecord struct {
	token Token
	sum   [sha256.Size]byte // of the whole secret
}

func newTokenRecord(id, role string, expires time.Time, sum [sha256.Size]byte) *tokenRecord {
	r := &tokenRecord{sum: sum}
	r.token = Token{ID: id, Role: role, Expires: expires, subject: "token:" + id, record: r}
	return r
}

func (r *tokenRecord) key() string { return r.token.ID }

func (r *tokenRecord) line() string {
	expires := never
	if !r.token.Expires.IsZero() {
		expires = r.token.Expires.Format(time.RFC3339)
	}
	return r.token.ID + " " + r.token.Role + " " + expires + " " + hex.EncodeToString(r.sum[:])
}

const never = "never"

func parseToken(fields []string) (*tokenRecord, error) {
	id, role := fields[0], fields[1]
	if err := checkTokenID(id); err != nil {
		return nil, err
	}
	if err := CheckRole(role); err != nil {
		return nil, err
	}
	var expires time.Time
	if fields[2] != never {
		at, err := time.Parse(time.RFC3339, fields[2])
		at = at.UTC()
		if year := at.Year(); err != nil || at.IsZero() || year < 1 || year > 9999 { // the year must have four digits when it is written again
			return nil, fmt.Errorf("%q is no expiry time of a token; write one like 2027-01-01T00:00:00Z, or never", shorten(fields[2]))
		}
		expires = at
	}
	var sum [sha256.Size]byte
	if n, err := hex.Decode(sum[:], []byte(fields[3][:min(len(fields[3]), 2*len(sum))])); err != nil || n != len(sum) || len(fields[3]) != 2*len(sum) {
		return nil, fmt.Errorf("the sum of %q is not the 64 hexadecimal digits of a SHA-256", id)
	}
	return newTokenRecord(id, role, expires, sum), nil
}

var tokenID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

func checkTokenID(id string) error {
	if tokenID.MatchString(id) {
		return nil
	}
	return fmt.Errorf("%q is no id for a token: up to 64 lower-case letters, digits and -, beginning with a letter or digit", shorten(id))
}

// idOf returns the id in a token. An id has no "_"; the random part may have one.
func idOf(token string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok {
		return "", false
	}
	id, _, ok = strings.Cut(rest, "_")
	return id, ok
}

// isLong reports whether a token has as many random bytes as the tokens of Mint. A line that was written by hand may
// be of a token that can be guessed.
func isLong(token string) bool {
	_, random, _ := strings.Cut(strings.TrimPrefix(token, tokenPrefix), "_")
	return len(random) >= base64.RawURLEncoding.EncodedLen(tokenBytes)
}
