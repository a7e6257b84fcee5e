package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal returns a terminal, and the person in front of it.
func terminal(t *testing.T) (tty, person *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = person.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	tty, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tty.Close() })
	return tty, person
}

// echoes reports whether the terminal shows what is typed.
func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	require.NoError(t, err)
	return state.Lflag&unix.ECHO != 0
}

// A prompter types a line whenever it is asked for one, as soon as the terminal no longer shows it.
type prompter struct {
	t      *testing.T
	tty    *os.File
	person *os.File
	lines  []string
	asked  bytes.Buffer
	typed  chan struct{}
}

func (p *prompter) Write(text []byte) (int, error) {
	p.asked.Write(text)
	if bytes.HasSuffix(text, []byte(": ")) {
		line := p.lines[0]
		p.lines = p.lines[1:]
		go func() {
			for deadline := time.Now().Add(testkit.Timeout); echoes(p.t, p.tty) && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
			_, _ = p.person.WriteString(line)
			p.typed <- struct{}{}
		}()
	}
	return len(text), nil
}

func TestPasswordAtATerminal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	for _, test := range []struct {
		name  string
		lines []string
		says  string
	}{
		{"ann", []string{"correct horse\n", "correct horse\n"}, ""},
		{"bob", []string{"correct horse\n", "correct hors\n"}, "the two are not the same; nothing was changed"},
		{"bob", []string{"\n"}, "no password given"},
		{"bob", []string{"short\n", "short\n"}, "too short"},
	} {
		tty, person := terminal(t)
		p := &prompter{t: t, tty: tty, person: person, lines: test.lines, typed: make(chan struct{}, len(test.lines))}
		cmd := userCommand(tty, nil)
		cmd.SetErr(p)
		cmd.SetArgs([]string{"add", path, test.name, "--role", "admin"})
		err := cmd.ExecuteContext(t.Context())
		for range test.lines {
			<-p.typed
		}
		if test.says != "" {
			require.ErrorContains(t, err, test.says)
		} else {
			require.NoError(t, err)
			require.Contains(t, p.asked.String(), "New password: \nThe same again: \n")
			require.True(t, knows(t, path, test.name, "correct horse"))
		}
		require.True(t, echoes(t, tty), "as it was")
		_, _ = tty.WriteString("\nend\n")
		shown, err := bufio.NewReader(person).ReadString('e')
		require.NoError(t, err)
		require.NotContains(t, shown, "hors")
	}
	require.False(t, knows(t, path, "bob", "correct horse"))
}

// Whoever interrupts the question gets the terminal back as it was.
func TestAPasswordThatIsNotGiven(t *testing.T) {
	tty, person := terminal(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	go func() {
		for deadline := time.Now().Add(testkit.Timeout); echoes(t, tty) && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		cancel(interrupted)
	}()
	_, err := readPassword(ctx, tty, new(bytes.Buffer))
	require.ErrorIs(t, err, interrupted)
	require.True(t, echoes(t, tty))
	require.True(t, term.IsTerminal(int(tty.Fd())))
	_, _ = person.WriteString("\n") // lets go of whoever still reads
}
