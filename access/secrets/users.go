package secrets

import (
	"errors"
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/rudderpost/rudderpost/transport"
)

// The shortest and the longest password, in bytes.
const (
	MinPassword = 8
	MaxPassword = 1024
)

// Users is a users-file. Its methods may be called concurrently. Those that change the file block up to 10 s while
// another program changes it.
type Users struct {
	// OnError is called when the file cannot be read any more, or is not valid; once for each cause. The old contents
	// stay in force. It is called on the goroutine that uses the Users, and must not call their methods. Set it
	// before the first use. nil: errors are ignored.
	OnError func(error)

	file file[*userRecord]
}

// A User is one line of the users-file, without its hash. A User that an [Authenticator] returns is the credential of a
// client that has proven to know the password.
type User struct {
	Name string
	Role string // the role when the file was read; Users.Role returns the present one

	subject string
	record  *userRecord
	file    *Users // the file against which it was proven; nil: it was not proven
}

var _ transport.Revocable = User{}

// Subject implements transport.Credential: "user:ann".
func (u User) Subject() string {
	if u.subject == "" {
		return "user:" + u.Name
	}
	return u.subject
}

// Revoked implements transport.Revocable. It reports whether the user was removed, or got another password, since an
// Authenticator returned it. A changed role revokes nothing.
func (u User) Revoked() bool {
	if u.file == nil {
		return false
	}
	_, ok := u.file.Role(u)
	return !ok
}

// OpenUsers opens a users-file, and creates an empty one if it does not exist. It is an error if a line is not valid,
// or if another user could read or change the file: the file, the folders above it up to / and the symbolic links on
// the way must belong to root, to this process's user or to one of trustOwners, and no other user may write to them
// (a folder with the sticky bit excepted). The mode of the file is 0600. A file of root's, or of one of trustOwners,
// may also be 0640 or 0440, so that its group can read it.
//
// A file that another program provides (a Kubernetes Secret: a symbolic link, mode 0440) is a read-only source: it is
// read, and read again when it changes; the methods that change it return an error.
func OpenUsers(path string, trustOwners ...uint32) (*Users, error) {
	u := &Users{}
	u.file.path, u.file.trust, u.file.format = path, trustOwners, userFormat
	u.file.onError = func(err error) {
		if u.OnError != nil {
			u.OnError(fmt.Errorf("users file: %w", err))
		}
	}
	if err := u.file.open(); err != nil {
		return nil, fmt.Errorf("users file: %w", err)
	}
	return u, nil
}

// List returns the users in the order of the file. The caller owns the slice.
func (u *Users) List() []User {
	var all []User
	for _, r := range u.file.current().records() {
		all = append(all, r.user)
	}
	return all
}

// Role returns the role that a user has now. ok is false if the user was removed, or got another password, after the
// User was proven. A User that was not proven is looked up by its name.
func (u *Users) Role(user User) (role string, ok bool) {
	r := u.file.current().byKey[user.Name]
	if r == nil || user.record != nil && user.record.hash != r.hash {
		return "", false
	}
	return r.role, true
}

// MayAdd returns the error that Add would return for a user with a valid password, or nil.
func (u *Users) MayAdd(name, role string) error { return u.mayAdd(u.file.current(), name, role) }

func (*Users) mayAdd(l *lines[*userRecord], name, role string) error {
	if err := checkUserName(name); err != nil {
		return err
	}
	if err := CheckRole(role); err != nil {
		return err
	}
	if l.byKey[name] != nil {
		return fmt.Errorf("there is a user %q already; give it another password, or remove it first", name)
	}
	return nil
}

// Add adds a user. role must have the form of a role's name, and need not be among Roles. password is UTF-8 of
// MinPassword to MaxPassword bytes. Add blocks while it computes the hash, about 20 ms.
func (u *Users) Add(name, role, password string) error {
	if err := u.MayAdd(name, role); err != nil {
		return err
	}
	hash, err := hashPassword(password)
	if err != nil {
		return err
	}
	return u.file.edit(func(l *lines[*userRecord]) error {
		if err := u.mayAdd(l, name, role); err != nil {
			return err
		}
		l.put(newUserRecord(name, role, hash))
		return nil
	})
}

// SetPassword gives a user another password. All credentials that were proven with the old one are revoked.
func (u *Users) SetPassword(name, password string) error {
	hash, err := hashPassword(password)
	if err != nil {
		return err
	}
	return u.file.edit(func(l *lines[*userRecord]) error {
		r := l.byKey[name]
		if r == nil {
			return errNoUser(name)
		}
		l.put(newUserRecord(name, r.role, hash))
		return nil
	})
}

// Remove removes a user. All its credentials are revoked.
func (u *Users) Remove(name string) error {
	return u.file.edit(func(l *lines[*userRecord]) error {
		if l.byKey[name] == nil {
			return errNoUser(name)
		}
		l.remove(name)
		return nil
	})
}

func errNoUser(name string) error { return fmt.Errorf("there is no user %q", shorten(name)) }

// hashPassword checks the length and the encoding of a password, and hashes it.
func hashPassword(password string) (hash, error) {
	switch {
	case len(password) < MinPassword:
		return hash{}, fmt.Errorf("the password is too short: at least %d bytes", MinPassword)
	case len(password) > MaxPassword:
		return hash{}, fmt.Errorf("the password is too long: at most %d bytes", MaxPassword)
	case !utf8.ValidString(password):
		return hash{}, errors.New("the password is not UTF-8")
	}
	return newHash(password), nil
}

var userFormat = format[*userRecord]{"NAME ROLE HASH", parseUser}

// A userRecord is a line of a users-file.
type userRecord struct {
	user User
	role string
	hash string // in its canonical form
	cost hash
}

func newUserRecord(name, role string, h hash) *userRecord {
	r := &userRecord{role: role, hash: h.String(), cost: h}
	r.user = User{Name: name, Role: role, subject: "user:" + name, record: r}
	return r
}

func (r *userRecord) key() string  { return r.user.Name }
func (r *userRecord) line() string { return r.user.Name + " " + r.role + " " + r.hash }

func parseUser(fields []string) (*userRecord, error) {
	name, role := fields[0], fields[1]
	if err := checkUserName(name); err != nil {
		return nil, err
	}
	if err := CheckRole(role); err != nil {
		return nil, err
	}
	h, err := parseHash(fields[2])
	if err != nil {
		return nil, fmt.Errorf("the hash of %q: %w", name, err)
	}
	return newUserRecord(name, role, h), nil
}

var userName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

func checkUserName(name string) error {
	if userName.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%q is no name for a user: up to 64 letters and digits of ASCII and . _ @ -, beginning with a letter or digit", shorten(name))
}
