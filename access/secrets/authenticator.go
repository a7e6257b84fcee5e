package secrets

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/rudderpost/rudderpost/transport"
)

// An Authenticator verifies passwords and tokens. It is a transport.Authenticator.
//
// Passwords are hashed one at a time, in 19 MiB, and at most 32 claims wait for that; any more are told
// to slow down. An unknown user costs a hash as a known one does. A password that was right is not
// hashed again for a minute, unless the user's line has changed, or others were tried too often.
//
// A token costs one SHA-256, and does not wait. A right token is accepted in spite of every limit, if it has
// as many random bytes as those that Mint makes: it cannot be guessed.
//
// Other claims are limited for each client address: an IPv4 address, an IPv6 network of 64 bits, or all
// clients without an IP address together. After five failed claims within 5 minutes the address is paused
// for one second, after the next failed claim for two, and so on up to a minute; when no claim failed for 5
// minutes after a pause, the pauses are forgotten. A claim that succeeds does not shorten a pause. While an
// address is paused, its claims are refused with *SlowDownError, right or wrong, except for
//
//   - names that failed fewer than three times within the last hour: a guesser does not lock out the other
//     users of its address. When four names without a recent success have failed, only names with a recent
//     success keep this exception (eight of them at most);
//   - a password, or a short token, that was right at the same address within the last hour. After four
//     wrong secrets for the name during pauses this exception ends for an hour;
//   - a secret that failed before is refused with ErrWrongCredentials. It is not verified again and not
//     counted, so a client that repeats an old password does not pause its address.
//
// A claim that cannot be right, such as one with a password that is not UTF-8, and a token that was right but
// has expired, are refused and not counted.
//
// No more claims of an address are verified at a time than may fail. 256 claims wait, and more are refused
// with *SlowDownError.
//
// The zero value refuses everything. Set the fields before the first claim, and do not copy it then.
type Authenticator struct {
	Users  *Users  // nil: no passwords
	Tokens *Tokens // nil: no tokens

	once     sync.Once
	gate     *gate
	throttle *throttle
	recent   *recent
	nobody   *userRecord // the record that an unknown user is compared with, where the file has none
}

var _ transport.Authenticator = (*Authenticator)(nil)

func (a *Authenticator) init() {
	a.gate, a.throttle, a.recent = newGate(), newThrottle(), newRecent()
	a.nobody = newUserRecord("", "", dummyHash())
}

// errExpired refuses a token that was right.
var errExpired = errors.New("the token has expired")

// Authenticate implements transport.Authenticator. The credential is a User or a Token.
func (a *Authenticator) Authenticate(ctx context.Context, claim transport.Claim) ([]transport.Credential, error) {
	a.once.Do(a.init)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	cred, err := a.verify(ctx, claim)
	if err != nil {
		return nil, err
	}
	return []transport.Credential{cred}, nil
}

func (a *Authenticator) verify(ctx context.Context, claim transport.Claim) (transport.Credential, error) {
	switch {
	case claim.Token != "" && claim.User == "" && a.Tokens != nil:
		return a.verifyToken(claim)
	case claim.Token == "" && claim.User != "" && a.Users != nil:
		return a.verifyPassword(ctx, claim)
	}
	return nil, transport.ErrWrongCredentials // it cannot be right, so it is no guess
}

// verifyToken verifies a token. The limits of its address do not apply to a right one that cannot be guessed.
func (a *Authenticator) verifyToken(claim transport.Claim) (transport.Credential, error) {
	cred, err := a.Tokens.verify(claim.Token)
	if err == nil && isLong(claim.Token) {
		return cred, nil
	}
	id, ok := idOf(claim.Token)
	if !ok {
		id = "" // all tokens without an id count as one
	}
	err = a.throttle.check(attempt{
		addr: sourceAddr(claim.From), name: a.recent.digest("token", id), secret: a.recent.digest("token", claim.Token),
	}, err)
	if err != nil {
		return nil, err
	}
	return cred, nil
}

// verify looks a token up.
func (t *Tokens) verify(token string) (transport.Credential, error) {
	var text [128]byte // on the stack, and longer than those that Mint makes
	sum := sha256.Sum256(append(text[:0], token...))
	id, _ := idOf(token)
	r := t.file.current().byKey[id]
	if r == nil {
		r = &noToken
	}
	switch {
	case subtle.ConstantTimeCompare(sum[:], r.sum[:]) != 1 || r == &noToken:
		return nil, transport.ErrWrongCredentials
	case r.token.Expired(time.Now()):
		return nil, errExpired
	}
	proven := r.token
	proven.file = t
	return proven, nil
}

// noToken is what an unknown token is compared with.
var noToken tokenRecord

// verifyPassword verifies a password, with the same steps for a user that exists and for one that does not.
// A password that was right a moment ago passes without a hash, but not before another claim would be
// verified: passwords can be guessed.
func (a *Authenticator) verifyPassword(ctx context.Context, claim transport.Claim) (transport.Credential, error) {
	name, password := claim.User, claim.Password
	if len(password) > MaxPassword || len(name) > MaxPassword || !utf8.ValidString(password) {
		return nil, transport.ErrWrongCredentials // it cannot be right, so it is no guess
	}
	l := login{name: name, password: password}
	l.user, l.known = a.lookUp(name)
	l.mac = a.recent.digest("password", name, l.user.user.Name, l.user.hash, password)
	k, err := a.throttle.enter(ctx, attempt{
		addr: sourceAddr(claim.From), name: a.recent.digest("user", name), secret: l.mac,
	}, func() bool { return a.recent.has(name, l.mac) })
	if err != nil {
		return nil, err
	}
	if k != nil {
		err = a.hash(ctx, l)
		a.throttle.leave(k, err)
	}
	if err != nil {
		return nil, err
	}
	proven := l.user.user
	proven.file = a.Users
	return proven, nil
}

// A login is a claim to be a user.
type login struct {
	name, password string
	user           *userRecord // whose hash is made
	known          bool        // that is the one of the name
	mac            digest
}

// hash waits for its turn, and compares the password with the user's hash.
func (a *Authenticator) hash(ctx context.Context, l login) error {
	if err := a.gate.enter(ctx); err != nil {
		return err
	}
	defer a.gate.leave()
	right := a.recent.has(l.name, l.mac) || l.user.cost.matches(l.password) // another claim may have been quicker
	if !right || !l.known {
		return transport.ErrWrongCredentials
	}
	a.recent.add(l.name, l.mac)
	return nil
}

// lookUp returns a user, or, for an unknown one, somebody whose password costs as much: the first of
// the file, since all hashes in a file tend to cost the same.
func (a *Authenticator) lookUp(name string) (u *userRecord, known bool) {
	l := a.Users.file.current()
	if u = l.byKey[name]; u != nil {
		return u, true
	}
	if u = l.first(); u != nil {
		return u, false
	}
	return a.nobody, false
}
