package transport_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
)

type (
	uid  int
	user string
)

func (uid) Subject() string    { return "uid:0" }
func (u user) Subject() string { return "user:" + string(u) }

func TestPeer(t *testing.T) {
	var p transport.Peer
	require.Equal(t, "unknown", p.String())
	p.Creds = append(p.Creds, uid(0))
	require.Equal(t, "uid:0", p.String())
	p.Creds = append(p.Creds, user("ann"), user("bob"))
	require.Equal(t, "uid:0,user:ann,user:bob", p.String())

	u, ok := transport.CredAs[user](p)
	require.True(t, ok)
	require.Equal(t, user("ann"), u)
	_, ok = transport.CredAs[interface {
		transport.Credential
		Missing()
	}](p)
	require.False(t, ok)
}

func TestSessionsAreUnique(t *testing.T) {
	require.NotEqual(t, transport.NewSession("x"), transport.NewSession("x"))
	require.Regexp(t, `^x-\d+$`, transport.NewSession("x"))
}
