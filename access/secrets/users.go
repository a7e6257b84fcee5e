package secrets

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/rudderpost/rudderpost/transport"
)

// The lengths of a password, in bytes.
const (
	MinPassword = 8
	MaxPassword = 1024
)

// Users is a users-file. Its methods may be called by many at once.
type Users struct {
	// OnError is told when the file can no longer be read, or makes no sense; once for each cause.
	// What it said before stays in force. Set it before anything else is done with the Users.
	OnError func(error)

	file file[*userRecord]
}

// A User is one line of the users-file, without its hash, and, where an [Authenticator] returns it,
// the credential of a client that knows the password.
type User struct {
	Name string
	Role string // when the file was read; Users.Role knows the present one

	subject string
	record  *userRecord
	file    *Users // which proved it; nil: none did
}

var _ transport.Revocable = User{}

// Subject implements transport.Credential: "user:ann".
func (u User) Subject() string {
	if u.subject == "" {
		return "user:" + u.Name
	}
	return u.subject
}

// Revoked implements transport.Revocable: the user has been removed, or has another password, since an
// Authenticator returned it. Another role is not enough.
func (u User) Revoked() bool {
	if u.file == nil {
		return false
	}
	_, ok := u.file.Role(u)
	return !ok
}

// OpenUsers opens a users-file, and makes an empty one if there is none. It is an error if a line makes no sense, or if
// another user could read or change the file: the file, the folders above it up to / and the symbolic links on the way
// must belong to root, to this process's user or to one of trustOwners, and no other user may write to them (a folder
// with the sticky bit excepted). The mode of the file is 0600. A file of root's, or of one of trustOwners, may also be
// 0640 or 0440, so that its group can read it.
//
// A file that another program provides (a Kubernetes Secret: a symbolic link, mode 0440) is a read-only source: it is
// read, and again when it changes, and the methods that change it refuse.
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

// List returns the users, in the order of the file.
func (u *Users) List() []User {
	var all []User
	for _, r := range u.file.current().records() {
		all = append(all, r.user)
	}
	return all
}

// Role returns the role that a user has now. There is none for one who has been removed, or given
// another password, since the User was proven.
func (u *Users) Role(user User) (role string, ok bool) {
	r := u.file.current().byKey[user.Name]
	if r == nil || user.record != nil && user.record.hash != r.hash {
		return "", false
	}
	return r.role, true
}

// MayAdd says why Add would refuse a user, whatever the password is.
func (u *Users) MayAdd(name, role string) error { return u.mayAdd(u.file.current(), name, role) }

func (u *Users) mayAdd(l *lines[*userRecord], name, role string) error {
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

// Add adds a user. The role is the name of one, which need not be among Roles, the password UTF-8 of MinPassword to MaxPassword bytes.
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

// SetPassword gives a user another password, which ends what the old one allowed.
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

// Remove removes a user.
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

// hashPassword hashes a password that is worth it.
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
