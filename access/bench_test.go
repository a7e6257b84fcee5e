package access_test

import (
	"fmt"
	"testing"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// manyRoles are fifty roles of ten rules each. The last three of each match zone-add-7.
func manyRoles() (o access.Options) {
	for i := range 50 {
		name := fmt.Sprint("role-", i)
		role := access.Role{Name: name, Deny: []string{fmt.Sprintf("never-%d-*", i), "*-never"}}
		for j := range 5 {
			role.Allow = append(role.Allow, fmt.Sprintf("job%d-*-%d", i, j))
		}
		role.Allow = append(role.Allow, "zone-*-7")
		role.Arguments = []access.ArgumentRule{
			{Commands: []string{"zone-*"}, Pointer: "/zone", Values: []any{"example", "example.com"}},
			{Commands: []string{"*-7"}, Pointer: "/options/ttl", Values: []any{60, 3600}},
		}
		o.Roles = append(o.Roles, role)
		o.Principals = append(o.Principals,
			access.Principal{Subject: fmt.Sprint("uid:", 1000+i), Role: name},
			access.Principal{Subject: fmt.Sprint("gid:", 1000+i), Role: name},
			access.Principal{Subject: fmt.Sprint("cert:host", i, ".example"), Role: name})
	}
	return o
}

func callOf(creds ...transport.Credential) *mgr.Call {
	return &mgr.Call{
		Name: "zone-add-7", Command: &mgr.Command{Name: "zone-add-7", Level: mgr.Write},
		Arguments: wire.Value(`{"name":"www","zone":"example.com","options":{"class":"IN","ttl":3600}}`), Peer: transport.Peer{Creds: creds},
	}
}

// Peers with few and with many credentials.
var peers = []struct {
	name  string
	creds []transport.Credential
}{
	{"cert", []transport.Credential{subject("cert:host7.example")}},
	{"user of 4 groups", []transport.Credential{member{"uid:1007", []uint32{1003, 4, 24, 1049}, true}}},
	{"6 certs", subjects("cert:host1.example", "cert:host2.example", "cert:host3.example", "cert:host4.example", "cert:host5.example", "cert:host49.example")},
}

// BenchmarkAuthorize measures one decision with fifty roles and five hundred rules.
//
//	go test -run - -bench Authorize ./access
func BenchmarkAuthorize(b *testing.B) {
	p := policy(b, manyRoles())
	for _, peer := range peers {
		b.Run(peer.name, func(b *testing.B) {
			call := callOf(peer.creds...)
			b.ReportAllocs()
			for b.Loop() {
				if p.Authorize(call) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}

func TestAuthorizeWithManyRulesDoesNotAllocate(t *testing.T) {
	p := policy(t, manyRoles())
	for _, peer := range peers {
		call := callOf(peer.creds...)
		require.NoError(t, p.Authorize(call))
		require.Zero(t, testing.AllocsPerRun(100, func() { _ = p.Authorize(call) }), peer.name)
	}
}
