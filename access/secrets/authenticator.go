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

// An Authenticator verifies passwords and tokens. It is a transport.Authenticator. Authenticate may be called
// concurrently.
//
// Passwords are hashed one at a time, each in 19 MiB. At most 32 claims wait for that; more are refused with
// *SlowDownError. The name of an unknown user costs a hash, as a known one does. A right password is not hashed again
// for a minute, unless the user's line has changed, or 16 wrong passwords were compared with it.
//
// A token costs one SHA-256, and does not wait. A right token is accepted in spite of every limit, if it has as many
// random bytes as the tokens of Mint have: it cannot be guessed.
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
// The zero value refuses every claim. Set the fields before the first claim. Do not copy an Authenticator after that.
type Authenticator struct {
	Users  *Users  // nil: no passwords
	Tokens *Tokens // nil: no tokens

	once     sync.Once
	sem      *hashSem
	throttle *loginThrottle
	cache    *passwordCache
	unknown  *userRecord // the record that an unknown user is compared with if the file is empty
}

var _ transport.Authenticator = (*Authenticator)(nil)

func (a *Authenticator) init() {
	a.sem, a.throttle, a.cache = newHashSem(), newLoginThrottle(), newPasswordCache()
	a.unknown = newUserRecord("", "", dummyHash())
}

// errExpired is the result for a right token that has expired.
var errExpired = errors.New("the token has expired")

// Authenticate implements transport.Authenticator. It returns one credential, a User or a Token. The errors are
// transport.ErrWrongCredentials, a *transport.SlowDownError, or the cause of ctx. Authenticate blocks while it waits
// for a hash or for the result of another claim of the same address.
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
	return nil, transport.ErrWrongCredentials // it cannot be right, so it is not counted
}

// verifyToken verifies a token. The limits of its address do not apply to a right token that cannot be guessed.
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
		addr: sourceAddr(claim.From), name: a.cache.digest("token", id), secret: a.cache.digest("token", claim.Token),
	}, err)
	if err != nil {
		return nil, err
	}
	return cred, nil
}

// verify looks up a token by its id, and compares its sum in constant time.
func (t *Tokens) verify(token string) (transport.Credential, error) {
	var text [128]byte // on the stack, and longer than the tokens of Mint
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

// noToken is the record that an unknown token is compared with.
var noToken tokenRecord

// verifyPassword verifies a password. It takes the same steps for a user that exists and for one that does not. A
// password in the cache is accepted without a hash, but only when a password that is not in the cache would be
// verified too. Otherwise a guesser could learn that a password is right while its address is paused.
func (a *Authenticator) verifyPassword(ctx context.Context, claim transport.Claim) (transport.Credential, error) {
	name, password := claim.User, claim.Password
	if len(password) > MaxPassword || len(name) > MaxPassword || !utf8.ValidString(password) {
		return nil, transport.ErrWrongCredentials // it cannot be right, so it is not counted
	}
	l := login{name: name, password: password}
	l.user, l.known = a.lookUp(name)
	l.mac = a.cache.digest("password", name, l.user.user.Name, l.user.hash, password)
	permit, err := a.throttle.acquire(ctx, attempt{
		addr: sourceAddr(claim.From), name: a.cache.digest("user", name), secret: l.mac,
	}, func() bool { return a.cache.has(name, l.mac) })
	if err != nil {
		return nil, err
	}
	if permit != nil {
		err = a.hash(ctx, l)
		a.throttle.release(permit, err)
	}
	if err != nil {
		return nil, err
	}
	proven := l.user.user
	proven.file = a.Users
	return proven, nil
}

// A login is a claim with a password.
type login struct {
	name, password string
	user           *userRecord // the record with the hash to compare with
	known          bool        // user is the record of name
	mac            digest
}

// hash waits for the semaphore, and compares the password with the user's hash.
func (a *Authenticator) hash(ctx context.Context, l login) error {
	if err := a.sem.acquire(ctx); err != nil {
		return err
	}
	defer a.sem.release()
	right := a.cache.has(l.name, l.mac) || l.user.cost.matches(l.password) // another claim may have verified it meanwhile
	if !right || !l.known {
		return transport.ErrWrongCredentials
	}
	a.cache.add(l.name, l.mac)
	return nil
}

// lookUp returns the record of a user. For an unknown user it returns a record whose hash costs as much: the first
// one of the file, since the hashes in a file usually have the same cost.
func (a *Authenticator) lookUp(name string) (u *userRecord, known bool) {
	l := a.Users.file.current()
	if u = l.byKey[name]; u != nil {
		return u, true
	}
	if u = l.first(); u != nil {
		return u, false
	}
	return a.unknown, false
}
