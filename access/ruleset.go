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
	"github.com/rudderpost/rudderpost/wire"
)

// A ruleset is the compiled form of Options. It is immutable, except for its cache.
type ruleset struct {
	roles  []*role
	byName map[string]*role
	grants map[string]grant // by subject
	groups map[uint32]grant // the grants of gid: subjects by number: a peer has many groups, and their subjects would be allocated
	kinds  []string
	users  *secrets.Users
	tokens *secrets.Tokens

	cache   atomic.Pointer[map[commandKey][]matchResult]
	cacheMu sync.Mutex // held while cache is replaced
}

// A grant is a role that a credential has. The zero grant is no role.
type grant struct {
	subject string
	origin  origin
	role    *role
}

// An origin is the source of a grant.
type origin uint8

const (
	fromPrincipal origin = iota // Options.Principals
	fromDefault                 // the default roles, see Options.NoOwner
	fromFile                    // the file of users or tokens
)

// newRuleset compiles options. The error says which part is not valid, and what would be valid.
func newRuleset(o Options) (*ruleset, error) {
	rs := &ruleset{
		byName: map[string]*role{}, grants: map[string]grant{}, groups: map[uint32]grant{},
		kinds: slices.Clone(o.Kinds), users: o.Users, tokens: o.Tokens,
	}
	rs.cache.Store(&map[commandKey][]matchResult{})
	for _, r := range builtin {
		if err := rs.addRole(r); err != nil {
			return nil, err
		}
	}
	for i, r := range o.Roles {
		if err := rs.addRole(r); err != nil {
			return nil, fmt.Errorf("role %d, %q: %w", i+1, r.Name, err)
		}
	}
	for i, p := range o.Principals {
		if err := rs.addPrincipal(p); err != nil {
			return nil, fmt.Errorf("principal %d, %q: %w", i+1, p.Subject, err)
		}
	}
	if !o.NoOwner {
		rs.addDefaults()
	}
	for subject, g := range rs.grants {
		if digits, ok := strings.CutPrefix(subject, "gid:"); ok {
			gid, _ := strconv.ParseUint(digits, 10, 32)
			rs.groups[uint32(gid)] = g
		}
	}
	return rs, nil
}

func (rs *ruleset) addRole(r Role) error {
	compiled, err := parseRole(r, len(rs.roles))
	if err != nil {
		return err
	}
	if existing := rs.byName[r.Name]; existing != nil {
		if existing.index < len(builtin) {
			return errors.New("it is built in; give yours another name")
		}
		return errors.New("there is a role of that name already")
	}
	rs.roles = append(rs.roles, compiled)
	rs.byName[r.Name] = compiled
	return nil
}

func (rs *ruleset) addPrincipal(p Principal) error {
	if err := checkSubject(p.Subject, rs.kinds); err != nil {
		return err
	}
	role := rs.byName[p.Role]
	if role == nil {
		return fmt.Errorf("there is no role %q; the roles are %s", p.Role, strings.Join(rs.roleNames(), ", "))
	}
	if _, exists := rs.grants[p.Subject]; exists {
		return errors.New("it has a role already; one subject has one role")
	}
	rs.grants[p.Subject] = grant{p.Subject, fromPrincipal, role}
	return nil
}

// addDefaults adds the default roles of subjects that Principals do not name.
func (rs *ruleset) addDefaults() {
	defaults := map[string]string{"uid:0": "admin", "uid:" + strconv.Itoa(os.Geteuid()): "admin", self: "admin", socketGroup: "monitor"}
	for subject, role := range defaults {
		if _, named := rs.grants[subject]; !named {
			rs.grants[subject] = grant{subject, fromDefault, rs.byName[role]}
		}
	}
}

func (rs *ruleset) roleNames() []string {
	names := make([]string, len(rs.roles))
	for i, r := range rs.roles {
		names[i] = r.name
	}
	return names
}

// A decision is the result of decide, and the rule that it follows from.
type decision struct {
	outcome outcome
	grant   grant
	match   matchResult
	unmet   *argConstraint // with wrongArguments: the first constraint that the arguments do not meet
}

// The outcomes. Where several roles of a peer have different outcomes, the highest one counts.
type outcome uint8

const (
	noRole         outcome = iota // no credential of the peer has a role
	noRule                        // no rule of its roles matches the command
	wrongArguments                // a role allows the command, but with other arguments
	allowed
	denied
)

// decide combines all roles that the peer has. A role that denies the command outweighs all others; otherwise one role
// that allows it is enough.
func (rs *ruleset) decide(call *mgr.Call) (d decision) {
	req := request{Call: call}
	if call.Command != nil {
		req.matches = rs.matches(call.Command)
	}
	for _, cred := range call.Peer.Creds {
		d.combine(&req, rs.grant(cred))
		if member, ok := cred.(transport.GroupCredential); ok {
			rs.combineGroups(&d, &req, member)
		}
	}
	return d
}

// grant returns the role that a credential has now by its subject.
func (rs *ruleset) grant(cred transport.Credential) grant {
	subject := cred.Subject()
	role, known, inFile := "", true, false
	switch c := cred.(type) {
	case secrets.User:
		if inFile = rs.users != nil; inFile {
			role, known = rs.users.Role(c)
		}
	case secrets.Token:
		if inFile = rs.tokens != nil; inFile {
			role, known = rs.tokens.Role(c)
		}
	}
	if !known {
		return grant{}
	}
	if g, ok := rs.grants[subject]; ok || !inFile {
		return g
	}
	return grant{subject, fromFile, rs.byName[role]}
}

func (rs *ruleset) combineGroups(d *decision, req *request, member transport.GroupCredential) {
	if member.InSocketGroup() {
		d.combine(req, rs.grants[socketGroup])
	}
	if len(rs.groups) == 0 {
		return
	}
	for _, gid := range member.GroupIDs() {
		d.combine(req, rs.groups[gid])
	}
}

// combine adds the role of one grant to the decision.
func (d *decision) combine(req *request, g grant) {
	if g.role == nil || d.outcome == denied {
		return
	}
	next := decision{grant: g, match: req.match(g.role)}
	switch next.match.kind {
	case noMatch:
		next.outcome = noRule
	case denies:
		next.outcome = denied
	case allows:
		if next.outcome = allowed; d.outcome == allowed {
			return // the constraints of this role cannot take back what another role allows
		}
		if next.unmet = req.unmet(next.match.constraints); next.unmet != nil {
			next.outcome = wrongArguments
		}
	}
	if next.outcome > d.outcome {
		*d = next
	}
}

// A request is a call, and how each role matches its command.
type request struct {
	*mgr.Call
	matches []matchResult // by the index of the role; nil: the command does not exist
}

func (req *request) match(r *role) matchResult {
	if req.matches != nil {
		return req.matches[r.index]
	}
	return r.match(req.Name, req.Asks())
}

// unmet returns the first constraint that the arguments do not meet, or nil. A call of list-commands only asks whether
// some arguments are allowed, so it meets all.
func (req *request) unmet(constraints []*argConstraint) *argConstraint {
	if req.Listing {
		return nil
	}
	for _, c := range constraints {
		if !c.allows(req.Arguments) {
			return c
		}
	}
	return nil
}

// A commandKey is what a matchResult depends on. A command that is registered again may have another level.
type commandKey struct {
	name  string
	level mgr.Level
}

// maxCached is the number of commands in the cache; a daemon has fewer.
const maxCached = 1024

// matches returns how each role matches a command that exists. The result is cached.
func (rs *ruleset) matches(c *mgr.Command) []matchResult {
	key := commandKey{c.Name, c.Level}
	if matches, ok := (*rs.cache.Load())[key]; ok {
		return matches
	}
	rs.cacheMu.Lock()
	defer rs.cacheMu.Unlock()
	cache := *rs.cache.Load()
	if matches, ok := cache[key]; ok {
		return matches
	}
	matches := make([]matchResult, len(rs.roles))
	for i, r := range rs.roles {
		matches[i] = r.match(c.Name, c.Level)
	}
	next := map[commandKey][]matchResult{key: matches}
	if len(cache) < maxCached { // a full cache is emptied, since it also has commands that do not exist any more
		for k, v := range cache {
			next[k] = v
		}
	}
	rs.cache.Store(&next)
	return matches
}

// refusal returns the error reply of a decision. Its caller may read it, so it names only roles of that caller.
func (rs *ruleset) refusal(call *mgr.Call, d decision) *wire.Error {
	if len(call.Peer.Creds) == 0 {
		return wire.Errorf(wire.CodeUnauthenticated, "", "nothing is known about you, so nothing is allowed")
	}
	because := ""
	var fields []wire.Field
	switch d.outcome {
	case noRule:
		because = fmt.Sprintf(": it asks for %s access, and your role %s does not allow it", call.Asks(), rs.rolesOf(call.Peer))
	case wrongArguments:
		because = fmt.Sprintf(": your role %s allows it only with other arguments", d.grant.role.name)
		fields = []wire.Field{{Pointer: d.unmet.pointer, Text: "is none of the values that the role allows"}}
	case denied:
		because = fmt.Sprintf(": your role %s denies it", d.grant.role.name)
	}
	refusal := wire.Errorf(wire.CodeForbidden, "", "'%s' is not allowed for %s%s", wire.Shorten(call.Name), call.Peer, because)
	refusal.Fields = fields
	return refusal
}

func (rs *ruleset) rolesOf(peer transport.Peer) string {
	var names []string
	for _, g := range rs.grantsOf(peer) {
		if !slices.Contains(names, g.role.name) {
			names = append(names, g.role.name)
		}
	}
	return strings.Join(names, ", ")
}

// grantsOf lists the roles that a peer has now.
func (rs *ruleset) grantsOf(peer transport.Peer) (all []grant) {
	add := func(g grant) {
		if g.role != nil && !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	for _, cred := range peer.Creds {
		add(rs.grant(cred))
		if member, ok := cred.(transport.GroupCredential); ok {
			if member.InSocketGroup() {
				add(rs.grants[socketGroup])
			}
			for _, gid := range member.GroupIDs() {
				add(rs.groups[gid])
			}
		}
	}
	return all
}

// String returns the grant in words, as Decision.Rule has it.
func (g grant) String() string {
	switch g.origin {
	case fromDefault:
		return fmt.Sprintf("by default %q has the role %q", g.subject, g.role.name)
	case fromFile:
		return fmt.Sprintf("%q has the role %q in its file", g.subject, g.role.name)
	}
	return fmt.Sprintf("principal %q has the role %q", g.subject, g.role.name)
}
