package access_test

import (
	"math"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"

	"github.com/stretchr/testify/require"
)

// roles returns a policy in which uid:1 has the first role, uid:2 the second, and so on.
func roles(t testing.TB, roles ...access.Role) *access.Policy {
	t.Helper()
	o := access.Options{NoOwner: true, Roles: roles}
	for i, r := range roles {
		o.Principals = append(o.Principals, access.Principal{Subject: "uid:" + string(rune('1'+i)), Role: r.Name})
	}
	return policy(t, o)
}

// may reports whether a peer with these subjects may run a command. A command of the level 0 does not exist.
func may(p *access.Policy, name string, level mgr.Level, names ...string) bool {
	call := &mgr.Call{Name: name, Peer: transport.Peer{Creds: subjects(names...)}}
	if level != 0 {
		call.Command = &mgr.Command{Name: name, Level: level}
	}
	return p.Authorize(call) == nil
}

func TestRoleAllowsAndDeniesCommands(t *testing.T) {
	for _, test := range []struct {
		allow, deny []string
		name        string
		level       mgr.Level
		allowed     bool
	}{
		{[]string{"read"}, nil, "look", mgr.Read, true},
		{[]string{"read"}, nil, "look", mgr.Write, false},
		{[]string{"write"}, nil, "look", mgr.Read, false}, // a level does not include the lower ones
		{[]string{"admin"}, nil, "change", mgr.Write, false},
		{[]string{"admin"}, nil, "end", mgr.Admin, true},
		{[]string{"read", "admin"}, nil, "end", mgr.Admin, true},
		{[]string{"read"}, nil, "no-such", 0, true}, // the reply says that it does not exist
		{[]string{"write", "admin"}, nil, "no-such", 0, false},
		{[]string{"no-such"}, nil, "no-such", 0, true},
		{[]string{"no-*"}, nil, "no-such", 0, true},
		{[]string{"read"}, []string{"no-*"}, "no-such", 0, false},

		{[]string{"shutdown"}, nil, "shutdown", mgr.Admin, true},
		{[]string{"shutdown"}, nil, "shutdown-now", mgr.Admin, false},
		{[]string{"shutdown"}, nil, "emergency-shutdown", mgr.Admin, false},
		{[]string{"zone-*"}, nil, "zone-add", mgr.Write, true},
		{[]string{"zone-*"}, nil, "zone", mgr.Write, false},
		{[]string{"zone-*"}, nil, "zones-add", mgr.Write, false},
		{[]string{"zone-*"}, nil, "timezone-add", mgr.Write, false},
		{[]string{"*-get"}, nil, "config-get", mgr.Admin, true},
		{[]string{"*-get"}, nil, "config-get-all", mgr.Admin, false},
		{[]string{"z*-a*d"}, nil, "zone-add", mgr.Write, true},
		{[]string{"*"}, nil, "end", mgr.Admin, true},

		{[]string{"*"}, []string{"shutdown"}, "shutdown", mgr.Admin, false},
		{[]string{"shutdown"}, []string{"admin"}, "shutdown", mgr.Admin, false},
		{[]string{"shutdown"}, []string{"shut*"}, "shutdown", mgr.Admin, false},
		{[]string{"write"}, []string{"read"}, "change", mgr.Write, true},
		{nil, []string{"read"}, "change", mgr.Write, false},
	} {
		p := roles(t, access.Role{Name: "x", Allow: test.allow, Deny: test.deny})
		require.Equal(t, test.allowed, may(p, test.name, test.level, "uid:1"), "%+v", test)
		require.False(t, may(p, test.name, test.level, "uid:2"))
	}
}

// A name that only looks like a command's matches no rule. Where it has the form of a name, a role with * may run it,
// and gets the error that it does not exist.
func TestSimilarNamesAreRefused(t *testing.T) {
	named := roles(t, access.Role{Name: "x", Allow: []string{"zone-add", "zone-del", "lease4-*", "*-get", "x*z"}})
	all := roles(t, access.Role{Name: "x", Allow: []string{"*", "write", "admin"}})
	for _, name := range []string{
		"", " ", "Zone-add", "ZONE-ADD", "zone-Add", "zone_add", "zone–add", "zone‑add", "zоne-add", "zone-аdd", "ｚone-add", "zone-add\u200b",
		"\ufeffzone-add", "zone\u00adadd", "zoné-add", "zone-add\u0301",
		"zone-add ", " zone-add", "zone-add.", ".zone-add", "zone-add\x00", "\x00zone-add", "zone-add\x00get", "zone-add\n", "zone-add\r\n", "zone-add\t",
		"zone-add/", "/zone-add", "zone-add/../x", "../zone-add", "./zone-add", "x/../zone-add", "zone%2dadd", "zone-add%00", "zone-add?x", "zone-add#x", "zone-add;x",
		"zone*", "zone-*", "*", "x*z", "zone-add*", "lease4-*", "lease4-/", "lease4-..", "lease4-\xff", "lease4-\u202egnp", "*-get", "/-get", "\"zone-add\"",
		"zone-add,zone-del", "zone-add zone-del", "zone-add\x7f",
		"lease4-" + strings.Repeat("a", 64), strings.Repeat("a", 61) + "-get", "x" + strings.Repeat("o", 63) + "z", "lease4-" + strings.Repeat("a", 1<<20),
	} {
		require.False(t, may(named, name, 0, "uid:1"), "%.80q", name)
		require.False(t, may(all, name, 0, "uid:1"), "%.80q", name)
	}
	for _, name := range []string{"zone-add2", "zone-ad", "zon-add", "azone-add", "zone-add-get2", "lease-get-x", "lease6-add", "zone--del", "zone-de", "read", "write", "admin"} {
		require.False(t, may(named, name, 0, "uid:1"), name)
		require.True(t, may(all, name, 0, "uid:1"), name)
	}
	for _, name := range []string{"zone-add", "zone-del", "lease4-", "lease4-add", "x-get", "xz", "lease4-" + strings.Repeat("a", 57)} {
		require.True(t, may(named, name, 0, "uid:1"), name)
	}
}

func TestOneDenyingRoleOutweighsAllOthers(t *testing.T) {
	p := roles(t,
		access.Role{Name: "all", Allow: []string{"*"}},
		access.Role{Name: "careful", Allow: []string{"read"}, Deny: []string{"shutdown", "zone-*"}},
		access.Role{Name: "no-admin", Deny: []string{"admin"}})
	require.True(t, may(p, "shutdown", mgr.Admin, "uid:1"))
	for _, names := range [][]string{{"uid:2"}, {"uid:1", "uid:2"}, {"uid:2", "uid:1"}, {"uid:1", "uid:3"}, {"uid:3", "uid:1", "uid:9"}} {
		require.False(t, may(p, "shutdown", mgr.Admin, names...), "%s", names)
	}
	require.False(t, may(p, "zone-add", mgr.Write, "uid:1", "uid:2"))
	require.True(t, may(p, "zone-add", mgr.Write, "uid:1", "uid:3"))
	require.False(t, may(p, "zone-no-such", 0, "uid:1", "uid:2"))
	err := p.Authorize(&mgr.Call{Name: "shutdown", Command: &mgr.Command{Name: "shutdown", Level: mgr.Admin}, Peer: transport.Peer{Creds: subjects("uid:1", "uid:2")}})
	require.EqualError(t, err, "'shutdown' is not allowed for uid:1,uid:2: your role careful denies it")
}

func TestInvalidRolesAreRefused(t *testing.T) {
	rule := func(r access.ArgumentRule) access.Role {
		return access.Role{Name: "x", Allow: []string{"*"}, Arguments: []access.ArgumentRule{{Commands: []string{"a"}, Values: []any{1}}, r}}
	}
	for _, test := range []struct {
		role access.Role
		says string
	}{
		{access.Role{Allow: []string{"read"}}, `role 2, "": "" is no name for a role`},
		{access.Role{Name: "Dns", Allow: []string{"read"}}, `"Dns" is no name for a role`},
		{access.Role{Name: "a b", Allow: []string{"read"}}, `"a b" is no name for a role`},
		{access.Role{Name: "-x", Allow: []string{"read"}}, `"-x" is no name for a role`},
		{access.Role{Name: strings.Repeat("x", 65), Allow: []string{"read"}}, `is no name for a role`},
		{access.Role{Name: "admin", Allow: []string{"read"}}, `role 2, "admin": it is built in; give yours another name`},
		{access.Role{Name: "first", Allow: []string{"read"}}, `role 2, "first": there is a role of that name already`},
		{access.Role{Name: "x"}, `role 2, "x": it allows nothing and denies nothing`},
		{access.Role{Name: "x", Allow: []string{"read", ""}}, `role 2, "x": allow 2, "": it is empty; write a level (read, write, admin), a command, or commands with *, such as zone-*`},
		{access.Role{Name: "x", Allow: []string{"Read"}}, `allow 1, "Read": levels and commands are in lower case: "read"`},
		{access.Role{Name: "x", Allow: []string{"read"}, Deny: []string{"Zone-*"}}, `deny 1, "Zone-*": levels and commands are in lower case: "zone-*"`},
		{access.Role{Name: "x", Allow: []string{"zone add"}}, `the name of a command cannot contain ' ': it has a-z, 0-9 and -; a * matches any run of them`},
		{access.Role{Name: "x", Allow: []string{"zone_add"}}, `the name of a command cannot contain '_'`},
		{access.Role{Name: "x", Allow: []string{"zone-?"}}, `the name of a command cannot contain '?'`},
		{access.Role{Name: "x", Allow: []string{"zone-[ad]*"}}, `the name of a command cannot contain '['`},
		{access.Role{Name: "x", Allow: []string{"rеad"}}, `the name of a command cannot contain 'е'`}, // Cyrillic
		{access.Role{Name: "x", Allow: []string{"read "}}, `the name of a command cannot contain ' '`},
		{access.Role{Name: "x", Allow: []string{"zone-\x00"}}, `the name of a command cannot contain '\x00'`},
		{access.Role{Name: "x", Allow: []string{"zone-**"}}, `write one * instead of two`},
		{access.Role{Name: "x", Allow: []string{"zone-"}}, `no command has such a name`},
		{access.Role{Name: "x", Allow: []string{"4zones"}}, `no command has such a name`},
		{access.Role{Name: "x", Allow: []string{strings.Repeat("x", 65)}}, `it is too long: no command has more than 64 bytes`},
		{rule(access.ArgumentRule{Pointer: "/a", Values: []any{1}}), `role 2, "x": arguments 2: commands: the rule names no command; "*" means all`},
		{rule(access.ArgumentRule{Commands: []string{"write"}, Values: []any{1}}), `commands 1, "write": that is a level; an argument rule lists names and patterns of commands`},
		{rule(access.ArgumentRule{Commands: []string{"A"}, Values: []any{1}}), `commands 1, "A": levels and commands are in lower case`},
		{rule(access.ArgumentRule{Commands: []string{"a"}, Pointer: "zone", Values: []any{1}}), `pointer: "zone" is no JSON pointer`},
		{rule(access.ArgumentRule{Commands: []string{"a"}, Pointer: "/a~2", Values: []any{1}}), `pointer: "/a~2" is no JSON pointer`},
		{rule(access.ArgumentRule{Commands: []string{"a"}, Pointer: "/a~", Values: []any{1}}), `is no JSON pointer: every name has a / in front, and in a name ~ is written ~0, and / is ~1`},
		{rule(access.ArgumentRule{Commands: []string{"a"}, Pointer: "/a"}), `values: the list is empty, so nothing would be allowed; deny the command instead`},
		{rule(access.ArgumentRule{Commands: []string{"a"}, Values: []any{1, nil}}), `values 2: <nil> (<nil>) is no text, number or boolean`},
		{rule(access.ArgumentRule{Commands: []string{"a"}, Values: []any{[]any{"x"}}}), `is no text, number or boolean`},
		{rule(access.ArgumentRule{Commands: []string{"a"}, Values: []any{math.NaN()}}), `NaN is no number in JSON`},
		{rule(access.ArgumentRule{Commands: []string{"a"}, Values: []any{math.Inf(-1)}}), `-Inf is no number in JSON`},
	} {
		_, err := access.NewPolicy(access.Options{Roles: []access.Role{{Name: "first", Allow: []string{"read"}}, test.role}})
		require.ErrorContains(t, err, test.says)
	}
	_, err := access.NewPolicy(access.Options{
		Roles:      []access.Role{{Name: "dns", Allow: []string{"reed"}}}, // may be a command
		Principals: []access.Principal{{Subject: "uid:7", Role: "dsn"}},
	})
	require.EqualError(t, err, `principal 1, "uid:7": there is no role "dsn"; the roles are monitor, operator, admin, dns`)
}
