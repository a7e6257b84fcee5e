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

// openPTY returns a terminal and its master side, with which the test types.
func openPTY(t *testing.T) (tty, master *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = master.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	tty, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tty.Close() })
	return tty, master
}

// echoOn reports whether the terminal shows what is typed.
func echoOn(t *testing.T, tty *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	require.NoError(t, err)
	return state.Lflag&unix.ECHO != 0
}

// A typist types a line after each prompt, when the terminal has stopped to echo.
type typist struct {
	t       *testing.T
	tty     *os.File
	master  *os.File
	lines   []string
	prompts bytes.Buffer
	typed   chan struct{}
}

func (p *typist) Write(text []byte) (int, error) {
	p.prompts.Write(text)
	if bytes.HasSuffix(text, []byte(": ")) {
		line := p.lines[0]
		p.lines = p.lines[1:]
		go func() {
			for deadline := time.Now().Add(testkit.Timeout); echoOn(p.t, p.tty) && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
			_, _ = p.master.WriteString(line)
			p.typed <- struct{}{}
		}()
	}
	return len(text), nil
}

func TestPasswordPromptAtTerminal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	for _, test := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"ann", []string{"correct horse\n", "correct horse\n"}, ""},
		{"bob", []string{"correct horse\n", "correct hors\n"}, "the two passwords differ; nothing was changed"},
		{"bob", []string{"\n"}, "no password given"},
		{"bob", []string{"short\n", "short\n"}, "too short"},
	} {
		tty, master := openPTY(t)
		p := &typist{t: t, tty: tty, master: master, lines: test.lines, typed: make(chan struct{}, len(test.lines))}
		cmd := userCommand(tty, nil)
		cmd.SetErr(p)
		cmd.SetArgs([]string{"add", path, test.name, "--role", "admin"})
		err := cmd.ExecuteContext(t.Context())
		for range test.lines {
			<-p.typed
		}
		if test.want != "" {
			require.ErrorContains(t, err, test.want)
		} else {
			require.NoError(t, err)
			require.Contains(t, p.prompts.String(), "New password: \nRepeat the password: \n")
			require.True(t, passwordAccepted(t, path, test.name, "correct horse"))
		}
		require.True(t, echoOn(t, tty), "the prompt does not restore the terminal")
		_, _ = tty.WriteString("\nend\n")
		shown, err := bufio.NewReader(master).ReadString('e')
		require.NoError(t, err)
		require.NotContains(t, shown, "hors")
	}
	require.False(t, passwordAccepted(t, path, "bob", "correct horse"))
}

// After an interrupted prompt the terminal has its old state.
func TestInterruptedPromptRestoresTerminal(t *testing.T) {
	tty, master := openPTY(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	go func() {
		for deadline := time.Now().Add(testkit.Timeout); echoOn(t, tty) && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		cancel(interrupted)
	}()
	_, err := readNewPassword(ctx, tty, new(bytes.Buffer))
	require.ErrorIs(t, err, interrupted)
	require.True(t, echoOn(t, tty))
	require.True(t, term.IsTerminal(int(tty.Fd())))
	_, _ = master.WriteString("\n") // ends the goroutine that still reads
}
