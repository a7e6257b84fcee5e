package access_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

type subject string

func (s subject) Subject() string { return string(s) }

func subjects(names ...string) (creds []transport.Credential) {
	for _, name := range names {
		creds = append(creds, subject(name))
	}
	return creds
}

func policy(t testing.TB, o access.Options) *access.Policy {
	t.Helper()
	p, err := access.NewPolicy(o)
	require.NoError(t, err)
	return p
}

// The commands of a daemon, one of each level.
var commands = []*mgr.Command{
	{Name: "look", Level: mgr.Read}, {Name: "change", Level: mgr.Write}, {Name: "end", Level: mgr.Admin},
}

// allowed returns the commands that a peer may run, and "?" if it may run a command that does not exist.
func allowed(p *access.Policy, creds ...transport.Credential) string {
	var all []string
	peer := transport.Peer{Creds: creds}
	for _, command := range commands {
		if p.Authorize(&mgr.Call{Name: command.Name, Command: command, Peer: peer}) == nil {
			all = append(all, command.Name)
		}
	}
	if p.Authorize(&mgr.Call{Name: "no-such", Peer: peer}) == nil {
		all = append(all, "?")
	}
	return strings.Join(all, " ")
}

const (
	nothing   = ""
	reads     = "look ?"
	writes    = "look change ?"
	allOfThem = "look change end ?"
)

func TestPrincipalsGiveExactSubjectsTheirRoles(t *testing.T) {
	own := "uid:" + strconv.Itoa(os.Geteuid())
	p := policy(t, access.Options{Principals: []access.Principal{
		{Subject: "uid:1000", Role: "monitor"},
		{Subject: "cert:ops.example", Role: "operator"},
		{Subject: "cert:spiffe://example/ops", Role: "admin"},
		{Subject: "cert-sha256:" + strings.Repeat("0a", 32), Role: "admin"},
		{Subject: "user:ann", Role: "operator"},
		{Subject: "token:ci", Role: "monitor"},
		{Subject: "anonymous:tcp", Role: "monitor"},
		{Subject: "gid:27", Role: "monitor"},
	}})
	for _, test := range []struct {
		subjects []string
		may      string
	}{
		{nil, nothing},
		{[]string{"uid:1000"}, reads},
		{[]string{"cert:ops.example"}, writes},
		{[]string{"cert:spiffe://example/ops"}, allOfThem},
		{[]string{"cert-sha256:" + strings.Repeat("0a", 32)}, allOfThem},
		{[]string{"user:ann"}, writes},
		{[]string{"token:ci"}, reads},
		{[]string{"anonymous:tcp"}, reads},
		{[]string{"self"}, allOfThem},
		{[]string{"uid:0"}, allOfThem},
		{[]string{own}, allOfThem},

		{[]string{"uid:4711", "uid:1000"}, reads},
		{[]string{"uid:1000", "cert:ops.example", "token:ci"}, writes},

		{[]string{"uid:4711"}, nothing},
		{[]string{"uid:10000"}, nothing},
		{[]string{"uid:100"}, nothing},
		{[]string{"uid:01000"}, nothing},
		{[]string{"uid:1000 "}, nothing},
		{[]string{"UID:1000"}, nothing},
		{[]string{"gid:27"}, reads},
		{[]string{"gid:1000"}, nothing},
		{[]string{"socket-group:"}, nothing},
		{[]string{"gid:0"}, nothing},
		{[]string{"cert:Ops.example"}, nothing},
		{[]string{"cert:ops.example."}, nothing},
		{[]string{"cert:x.ops.example"}, nothing},
		{[]string{"cert:оps.example"}, nothing}, // Cyrillic о
		{[]string{"cert:*.example"}, nothing},
		{[]string{"cert-sha256:" + strings.Repeat("0A", 32)}, nothing},
		{[]string{"cert:" + strings.Repeat("0a", 32)}, nothing},
		{[]string{"user:cert:ops.example"}, nothing},
		{[]string{"user:self"}, nothing},
		{[]string{"user:Ann"}, nothing},
		{[]string{"token:ann"}, nothing},
		{[]string{"anonymous:http"}, nothing},
		{[]string{"anonymous"}, nothing},
		{[]string{""}, nothing},
		{[]string{"Self"}, nothing},
	} {
		require.Equal(t, test.may, allowed(p, subjects(test.subjects...)...), "%q", test.subjects)
	}
}

func TestOwnerIsAdminByDefault(t *testing.T) {
	own := "uid:" + strconv.Itoa(os.Geteuid())
	for _, name := range []string{"uid:0", own, "self"} {
		require.Equal(t, allOfThem, allowed(policy(t, access.Options{}), subject(name)))
		require.Equal(t, nothing, allowed(policy(t, access.Options{NoOwner: true}), subject(name)))
		named := []access.Principal{{Subject: name, Role: "monitor"}}
		require.Equal(t, reads, allowed(policy(t, access.Options{Principals: named}), subject(name)), "a principal replaces a default")
		require.Equal(t, reads, allowed(policy(t, access.Options{NoOwner: true, Principals: named}), subject(name)))
	}
	require.Equal(t, nothing, allowed(policy(t, access.Options{}), subject("uid:4711")))
}

func TestInvalidPrincipalsAreRefused(t *testing.T) {
	for _, test := range []struct {
		principal access.Principal
		says      string
	}{
		{access.Principal{Role: "admin"}, `principal 2, "": there is no such kind of subject; the kinds are uid:, gid:, cert:, cert-sha256:, user:, token:, anonymous:, socket-group, self`},
		{access.Principal{Subject: "ann", Role: "admin"}, "there is no such kind of subject"},
		{access.Principal{Subject: "usr:ann", Role: "admin"}, `principal 2, "usr:ann": there is no such kind`},
		{access.Principal{Subject: "User:ann", Role: "admin"}, "no such kind"},
		{access.Principal{Subject: "uid", Role: "admin"}, "no such kind"},
		{access.Principal{Subject: "self:", Role: "admin"}, "no such kind"},
		{access.Principal{Subject: " self", Role: "admin"}, "no such kind"},
		{access.Principal{Subject: "*", Role: "admin"}, "no such kind"},
		{access.Principal{Subject: "uid:", Role: "admin"}, `after "uid:" there must be the number of a user, such as uid:1000`},
		{access.Principal{Subject: "uid:root", Role: "admin"}, "the number of a user"},
		{access.Principal{Subject: "uid:00", Role: "admin"}, "the number of a user"},
		{access.Principal{Subject: "uid:+1", Role: "admin"}, "the number of a user"},
		{access.Principal{Subject: "uid:-1", Role: "admin"}, "the number of a user"},
		{access.Principal{Subject: "uid:1000 ", Role: "admin"}, "the number of a user"},
		{access.Principal{Subject: "uid:4294967295", Role: "admin"}, "the number of a user"},
		{access.Principal{Subject: "uid:4294967296", Role: "admin"}, "the number of a user"},
		{access.Principal{Subject: "cert:", Role: "admin"}, "the name or URI in a certificate"},
		{access.Principal{Subject: "cert: ops.example", Role: "admin"}, "the name or URI in a certificate"},
		{access.Principal{Subject: "cert:öps.example", Role: "admin"}, "the name or URI in a certificate"},
		{access.Principal{Subject: "cert-sha256:0A", Role: "admin"}, "64 hexadecimal digits in lower case"},
		{access.Principal{Subject: "cert-sha256:" + strings.Repeat("0A", 32), Role: "admin"}, "64 hexadecimal digits in lower case"},
		{access.Principal{Subject: "user:", Role: "admin"}, "the name of a user"},
		{access.Principal{Subject: "token:a b", Role: "admin"}, "the id of a token"},
		{access.Principal{Subject: "anonymous:", Role: "admin"}, "the name that a listener gives its anonymous peers"},
		{access.Principal{Subject: "user:bob"}, `principal 2, "user:bob": there is no role ""; the roles are monitor, operator, admin`},
		{access.Principal{Subject: "user:bob", Role: "Admin"}, `there is no role "Admin"`},
		{access.Principal{Subject: "user:bob", Role: "read"}, `there is no role "read"`},
		{access.Principal{Subject: "gid:sudo", Role: "admin"}, `after "gid:" there must be the number of a group, such as gid:27`},
		{access.Principal{Subject: "gid:027", Role: "admin"}, "the number of a group"},
		{access.Principal{Subject: "gid:4294967295", Role: "admin"}, "the number of a group"},
		{access.Principal{Subject: "socket-group:", Role: "admin"}, "no such kind"},
		{access.Principal{Subject: "user:ann", Role: "admin"}, `principal 2, "user:ann": it has a role already; one subject has one role`},
	} {
		_, err := access.NewPolicy(access.Options{Principals: []access.Principal{{Subject: "user:ann", Role: "monitor"}, test.principal}})
		require.ErrorContains(t, err, test.says)
	}
}

func TestRefusalNamesOnlyTheCallersRoles(t *testing.T) {
	p := policy(t, access.Options{Principals: []access.Principal{{Subject: "user:ann", Role: "monitor"}}})
	for _, test := range []struct {
		call *mgr.Call
		code wire.Code
		text string
	}{
		{&mgr.Call{Name: "look", Command: commands[0]}, 401, "nothing is known about you, so nothing is allowed"},
		{&mgr.Call{Name: "no-such"}, 401, "nothing is known about you, so nothing is allowed"},
		{&mgr.Call{Name: "look", Command: commands[0], Peer: transport.Peer{Creds: subjects("uid:4711", "user:bob")}}, 403, "'look' is not allowed for uid:4711,user:bob"},
		{&mgr.Call{Name: "no-such", Peer: transport.Peer{Creds: subjects("uid:4711")}}, 403, "'no-such' is not allowed for uid:4711"},
		{&mgr.Call{Name: "end", Command: commands[2], Peer: transport.Peer{Creds: subjects("user:ann")}}, 403, "'end' is not allowed for user:ann: it asks for admin access, and your role monitor does not allow it"},
	} {
		refusal, ok := errors.AsType[*wire.Error](p.Authorize(test.call))
		require.True(t, ok)
		require.Equal(t, test.code, refusal.Code)
		require.Equal(t, test.text, refusal.Text)
	}
	long := mgr.Call{Name: strings.Repeat("x", 1<<20), Peer: transport.Peer{Creds: subjects("uid:4711")}}
	require.Less(t, len(p.Authorize(&long).Error()), 1000)
}

// Each role of secrets.Roles allows more than the role before it.
func TestBuiltInRolesAllowMoreAndMore(t *testing.T) {
	before := ""
	for _, role := range secrets.Roles() {
		may := allowed(policy(t, access.Options{Principals: []access.Principal{{Subject: "user:ann", Role: role}}}), subject("user:ann"))
		require.Greater(t, len(may), len(before), role)
		before = may
	}
}

// secretFiles are a users-file and a tokens-file with their Authenticator.
type secretFiles struct {
	*secrets.Authenticator
	t    *testing.T
	path string // of the users-file
}

func newSecretFiles(t *testing.T) *secretFiles {
	t.Helper()
	dir := t.TempDir()
	d := &secretFiles{t: t, path: filepath.Join(dir, "users")}
	users, err := secrets.OpenUsers(d.path)
	require.NoError(t, err)
	tokens, err := secrets.OpenTokens(filepath.Join(dir, "tokens"))
	require.NoError(t, err)
	d.Authenticator = &secrets.Authenticator{Users: users, Tokens: tokens}
	return d
}

func (d *secretFiles) proves(claim transport.Claim) transport.Credential {
	d.t.Helper()
	creds, err := d.Authenticate(context.Background(), claim)
	require.NoError(d.t, err)
	require.Len(d.t, creds, 1)
	return creds[0]
}

// A credential that was proven before has the role that the files give it now.
func TestRolesFollowTheFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSecretFiles(t)
		require.NoError(t, d.Users.Add("ann", "admin", "correct horse"))
		require.NoError(t, d.Users.Add("bob", "monitor", "battery staple"))
		secret, err := d.Tokens.Mint("ci", "operator", time.Now().Add(time.Hour))
		require.NoError(t, err)
		ann := d.proves(transport.Claim{User: "ann", Password: "correct horse"})
		bob := d.proves(transport.Claim{User: "bob", Password: "battery staple"})
		ci := d.proves(transport.Claim{Token: secret})

		p := policy(t, access.Options{Users: d.Users, Tokens: d.Tokens, Principals: []access.Principal{{Subject: "user:bob", Role: "operator"}}})
		require.Equal(t, allOfThem, allowed(p, ann))
		require.Equal(t, writes, allowed(p, bob), "the configuration outweighs the file")
		require.Equal(t, writes, allowed(p, ci))
		require.Equal(t, allOfThem, allowed(p, ci, ann))
		require.Equal(t, nothing, allowed(p, subject("user:ann")), "a subject alone is no credential of the file")

		text, err := os.ReadFile(d.path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(d.path, []byte(strings.Replace(string(text), "ann admin", "ann monitor", 1)), 0o600))
		time.Sleep(time.Second)
		require.Equal(t, reads, allowed(p, ann), "a lowered role")
		require.NoError(t, d.Users.SetPassword("bob", "another one"))
		require.Equal(t, nothing, allowed(p, bob), "another password, also where the configuration gives a role")
		require.Equal(t, writes, allowed(p, d.proves(transport.Claim{User: "bob", Password: "another one"})))
		require.NoError(t, d.Users.Remove("ann"))
		require.Equal(t, nothing, allowed(p, ann))
		require.Equal(t, reads, allowed(policy(t, access.Options{Users: d.Users, Principals: []access.Principal{{Subject: "uid:1000", Role: "monitor"}}}),
			ann, subject("uid:1000")), "its other credentials still count")

		require.Equal(t, nothing, allowed(policy(t, access.Options{}), ci), "without the file, it has no role")
		time.Sleep(time.Hour - time.Second - time.Nanosecond)
		require.Equal(t, writes, allowed(p, ci))
		time.Sleep(time.Nanosecond)
		require.Equal(t, nothing, allowed(p, ci), "expired")
		secret, err = d.Tokens.Mint("ops", "operator", time.Time{})
		require.NoError(t, err)
		ops := d.proves(transport.Claim{Token: secret})
		require.Equal(t, writes, allowed(p, ops))
		require.NoError(t, d.Tokens.Remove("ops"))
		require.Equal(t, nothing, allowed(p, ops))
	})
}

func TestAuthorizeDoesNotAllocate(t *testing.T) {
	d := newSecretFiles(t)
	require.NoError(t, d.Users.Add("ann", "admin", "correct horse"))
	secret, err := d.Tokens.Mint("ci", "admin", time.Now().Add(time.Hour))
	require.NoError(t, err)
	o := access.Options{Users: d.Users, Tokens: d.Tokens}
	for i := range 500 {
		o.Principals = append(o.Principals, access.Principal{Subject: fmt.Sprint("uid:", 5000+i), Role: "admin"})
	}
	p := policy(t, o)
	for _, cred := range []transport.Credential{
		subject("uid:5499"),
		d.proves(transport.Claim{User: "ann", Password: "correct horse"}),
		d.proves(transport.Claim{Token: secret}),
	} {
		call := &mgr.Call{Name: "end", Command: commands[2], Peer: transport.Peer{Creds: []transport.Credential{subject("uid:4711"), cred}}}
		require.Zero(t, testing.AllocsPerRun(100, func() {
			if p.Authorize(call) != nil {
				t.Fatal(cred.Subject())
			}
		}), cred.Subject())
	}
}

// Options.Kinds adds kinds of subjects that a daemon's own transport proves.
func TestOwnKindsOfSubjects(t *testing.T) {
	o := access.Options{Principals: []access.Principal{{Subject: "vsock:3", Role: "monitor"}}}
	_, err := access.NewPolicy(o)
	require.ErrorContains(t, err, "there is no such kind of subject")
	o.Kinds = []string{"vsock"}
	_, err = access.NewPolicy(o)
	require.NoError(t, err)
	o.Principals[0].Subject = "vsock:"
	_, err = access.NewPolicy(o)
	require.Error(t, err)
}

func TestUnusedRulesNamesRulesWithoutCommand(t *testing.T) {
	p := policy(t, access.Options{Roles: []access.Role{
		{
			Name: "dns", Allow: []string{"read", "zone-*", "zone-ad"}, Deny: []string{"admin", "zone-del*"},
			Arguments: []access.ArgumentRule{{Commands: []string{"zone-add", "zone-rm"}, Pointer: "/zone", Values: []any{"a"}}},
		},
		{Name: "all", Allow: []string{"*"}},
	}})
	require.Equal(t, []string{
		`the role "dns" allows "zone-ad", which matches no command`,
		`the role "dns" denies "zone-del*", which matches no command`,
		`the role "dns" has a rule on the arguments of "zone-rm", which matches no command`,
	}, p.UnusedRules([]mgr.Command{{Name: "zone-add"}, {Name: "look"}}))
	require.Empty(t, policy(t, access.Options{}).UnusedRules(nil))
}
