package secrets

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// A token is tokenPrefix, its id, "_", and tokenBytes random bytes in base64url. The prefix is for
// programs that look for secrets where they should not be.
const (
	tokenPrefix = "rpt_"
	tokenBytes  = 32
)

var tokenFormat = format[*tokenRecord]{"ID ROLE EXPIRES SHA-256", parseToken}

// A tokenRecord is a line of a tokens-file.
type tokenRecord struct {
	token Token
	sum   [sha256.Size]byte // of the whole token
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
		if year := at.Year(); err != nil || at.IsZero() || year < 1 || year > 9999 { // it may be written again
			return nil, fmt.Errorf("%q is no time when a token expires; write one like 2027-01-01T00:00:00Z, or never", shorten(fields[2]))
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
	return fmt.Errorf("%q is no id for a token: up to 64 lower-case letters and digits, and behind the first one - too", shorten(id))
}

// idOf returns the id that a token names. An id has no "_", though the random part may.
func idOf(token string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok {
		return "", false
	}
	id, _, ok = strings.Cut(rest, "_")
	return id, ok
}

// isLong reports whether a token has as many random bytes as one that was minted. A line that was
// written by hand may be of one that can be guessed.
func isLong(token string) bool {
	_, random, _ := strings.Cut(strings.TrimPrefix(token, tokenPrefix), "_")
	return len(random) >= base64.RawURLEncoding.EncodedLen(tokenBytes)
}
