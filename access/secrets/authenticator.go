package secrets

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/netip"
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
// A token costs one SHA-256, and waits for nobody. One that is right is let in whatever its place has
// done, if it has as many random bytes as those that Mint makes: nobody guesses that.
//
// A place, which is an IPv4 address, an IPv6 network of 64 bits, or all that have neither together,
// may be wrong five times within a minute. Then its other claims are refused, right or wrong, for one
// second, after the next wrong one for two, and so on up to a minute; when it has not been wrong for a
// minute after that, all is forgotten. What is right does not shorten this, or whoever shares the place
// with an honest user, or has a user of their own, could guess on. A token that was right but has
// expired is no guess, and refused like one that is wrong.
//
// No more passwords from a place are in doubt at a time than may be wrong. 256 claims wait for that,
// and any more are told to slow down.
//
// The zero value refuses everything. Set the fields before the first claim, and do not copy it then.
type Authenticator struct {
	Users  *Users  // nil: no passwords
	Tokens *Tokens // nil: no tokens

	once    sync.Once
	gate    *gate
	sources *sources
	recent  *recent
	nobody  *userRecord // whom an unknown user is taken for, where the file has none to go by
}

var _ transport.Authenticator = (*Authenticator)(nil)

func (a *Authenticator) init() {
	a.gate, a.sources, a.recent = newGate(), newSources(), newRecent()
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
		return a.verifyPassword(ctx, origin(claim.From), claim.User, claim.Password)
	}
	return nil, a.sources.judge(origin(claim.From), transport.ErrWrongCredentials)
}

// verifyToken costs next to nothing, so that nobody waits for it. A place that must wait learns
// nothing of a token, unless it is one that cannot be guessed, and right.
func (a *Authenticator) verifyToken(claim transport.Claim) (transport.Credential, error) {
	cred, err := a.Tokens.verify(claim.Token)
	if err == nil && isLong(claim.Token) {
		return cred, nil
	}
	if err := a.sources.judge(origin(claim.From), err); err != nil {
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

// verifyPassword does the same for a user who exists and for one who does not. What was right a moment
// ago passes at first sight, but no sooner than another claim would be looked at: passwords can be guessed.
func (a *Authenticator) verifyPassword(ctx context.Context, place netip.Addr, name, password string) (transport.Credential, error) {
	if len(password) > MaxPassword || len(name) > MaxPassword || !utf8.ValidString(password) {
		return nil, a.sources.judge(place, transport.ErrWrongCredentials) // nobody's, whoever it is
	}
	l := login{name: name, password: password}
	l.user, l.known = a.lookUp(name)
	l.mac = a.recent.mac(l.user, password)
	from, err := a.sources.enter(ctx, place, func() bool { return a.recent.has(name, l.mac) })
	if err != nil {
		return nil, err
	}
	if from != nil {
		err = a.hash(ctx, l)
		a.sources.leave(from, errors.Is(err, transport.ErrWrongCredentials))
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
	mac            [sha256.Size]byte
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
