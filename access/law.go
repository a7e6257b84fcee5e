package access

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
)

// A law is what Options say, made ready to decide. It does not change but for what it remembers.
type law struct {
	roles  []*role
	byName map[string]*role
	grants map[string]grant // by subject
	groups map[uint32]grant // those of gid: once more, since a peer has many and a string for none
	kinds  []string
	users  *secrets.Users
	tokens *secrets.Tokens

	rows      atomic.Pointer[map[command][]verdict]
	computing sync.Mutex // held by whoever replaces rows
}

// A grant is a role that a credential has. The zero grant is none.
type grant struct {
	subject string
	origin  origin
	role    *role
}

// An origin is who says that a credential has a role.
type origin uint8

const (
	fromPrincipal origin = iota
	fromDefault
	fromFile
)

// newLaw says which part of the options makes no sense, and what would.
func newLaw(o Options) (*law, error) {
	l := &law{
		byName: map[string]*role{}, grants: map[string]grant{}, groups: map[uint32]grant{},
		kinds: slices.Clone(o.Kinds), users: o.Users, tokens: o.Tokens,
	}
	l.rows.Store(&map[command][]verdict{})
	for _, r := range builtin {
		if err := l.addRole(r); err != nil {
			return nil, err
		}
	}
	for i, r := range o.Roles {
		if err := l.addRole(r); err != nil {
			return nil, fmt.Errorf("role %d, %q: %w", i+1, r.Name, err)
		}
	}
	for i, p := range o.Principals {
		if err := l.addPrincipal(p); err != nil {
			return nil, fmt.Errorf("principal %d, %q: %w", i+1, p.Subject, err)
		}
	}
	if !o.NoOwner {
		l.addOwner()
	}
	for subject, g := range l.grants {
		if digits, ok := strings.CutPrefix(subject, "gid:"); ok {
			gid, _ := strconv.ParseUint(digits, 10, 32)
			l.groups[uint32(gid)] = g
		}
	}
	return l, nil
}

func (l *law) addRole(r Role) error {
	made, err := parseRole(r, len(l.roles))
	if err != nil {
		return err
	}
	if taken := l.byName[r.Name]; taken != nil {
		if taken.index < len(builtin) {
			return errors.New("it is built in; give yours another name")
		}
		return errors.New("there is one of that name already")
	}
	l.roles = append(l.roles, made)
	l.byName[r.Name] = made
	return nil
}

func (l *law) addPrincipal(p Principal) error {
	if err := checkSubject(p.Subject, l.kinds); err != nil {
		return err
	}
	role := l.byName[p.Role]
	if role == nil {
		return fmt.Errorf("there is no role %q; the roles are %s", p.Role, l.roleNames())
	}
	if _, twice := l.grants[p.Subject]; twice {
		return errors.New("it has a role already; one subject has one role")
	}
	l.grants[p.Subject] = grant{p.Subject, fromPrincipal, role}
	return nil
}

// addOwner adds what is so where Principals say nothing else.
func (l *law) addOwner() {
	defaults := map[string]string{"uid:0": "admin", "uid:" + strconv.Itoa(os.Geteuid()): "admin", self: "admin", socketGroup: "monitor"}
	for subject, role := range defaults {
		if _, named := l.grants[subject]; !named {
			l.grants[subject] = grant{subject, fromDefault, l.byName[role]}
		}
	}
}

func (l *law) roleNames() string {
	names := make([]string, len(l.roles))
	for i, r := range l.roles {
		names[i] = r.name
	}
	return strings.Join(names, ", ")
}

// grant returns the role that a credential has now by its subject.
func (l *law) grant(cred transport.Credential) grant {
	subject := cred.Subject()
	role, known, filed := "", true, false
	switch c := cred.(type) {
	case secrets.User:
		if filed = l.users != nil; filed {
			role, known = l.users.Role(c)
		}
	case secrets.Token:
		if filed = l.tokens != nil; filed {
			role, known = l.tokens.Role(c)
		}
	}
	if !known {
		return grant{}
	}
	if g, ok := l.grants[subject]; ok || !filed {
		return g
	}
	return grant{subject, fromFile, l.byName[role]}
}

// A command is what verdicts depend on: one that is registered again may ask for another level.
type command struct {
	name  string
	level mgr.Level
}

// maxRows is for how many commands verdicts are remembered; that is more than a daemon has.
const maxRows = 1024

// row returns what each role says of a command that exists.
func (l *law) row(c *mgr.Command) []verdict {
	key := command{c.Name, c.Level}
	if row, ok := (*l.rows.Load())[key]; ok {
		return row
	}
	l.computing.Lock()
	defer l.computing.Unlock()
	rows := *l.rows.Load()
	if row, ok := rows[key]; ok {
		return row
	}
	row := make([]verdict, len(l.roles))
	for i, r := range l.roles {
		row[i] = r.judge(c.Name, c.Level)
	}
	next := map[command][]verdict{key: row}
	if len(rows) < maxRows { // else those of commands that are gone are forgotten with the others
		for k, v := range rows {
			next[k] = v
		}
	}
	l.rows.Store(&next)
	return row
}
