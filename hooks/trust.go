//go:build unix

package hooks

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rudderpost/rudderpost/internal/trustedpath"
)

// trusted returns an error if a program must not run with the daemon's rights: if a user that is not trusted can
// change the program, a file among its arguments with an absolute path, its interpreter, a folder above one of them,
// or a link on the way.
func trusted(cfg *Config) error {
	rules := trustedpath.Rules{FollowLink: true, TrustOwners: cfg.TrustOwners}
	for i, arg := range cfg.Exec {
		if !filepath.IsAbs(arg) {
			continue
		}
		info, err := os.Stat(arg)
		if i > 0 && (err != nil || !info.Mode().IsRegular()) {
			continue // not a regular file; the program decides what it means
		}
		if err != nil {
			return err
		}
		if err := trustedProgram(arg, rules, cfg.Env, i == 0); err != nil {
			return fmt.Errorf("exec: '%s' must not be run: %w", arg, err)
		}
	}
	return nil
}

// maxInterpreters is the depth of interpreters that are scripts themselves, as in the Linux kernel.
const maxInterpreters = 4

// trustedProgram checks a file, and the interpreters that its first line names if it is run.
func trustedProgram(path string, rules trustedpath.Rules, env []string, run bool) error {
	for range maxInterpreters + 1 {
		if err := rules.Check(path); err != nil {
			return err
		}
		next := ""
		if run {
			next = interpreter(path, env)
		}
		if next == "" {
			return nil
		}
		path = next
	}
	return nil // the kernel refuses to run it
}

// interpreter returns the program that the first line of a script names; for env(1) the program that env would find.
// It returns "" if there is none, or if it does not exist: then the start fails.
func interpreter(path string, env []string) string {
	f, err := os.Open(path) // the caller has checked that it is a regular file
	if err != nil {
		return ""
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, 4096)).ReadString('\n')
	text, ok := strings.CutPrefix(line, "#!")
	if err != nil && !errors.Is(err, io.EOF) || !ok {
		return ""
	}
	words := strings.Fields(text)
	if len(words) == 0 || !filepath.IsAbs(words[0]) {
		return ""
	}
	if filepath.Base(words[0]) != "env" {
		return existing(words[0])
	}
	for _, word := range words[1:] {
		if !strings.HasPrefix(word, "-") && !strings.Contains(word, "=") {
			return inPath(word, env)
		}
	}
	return existing(words[0])
}

// inPath finds a program as a process with this environment would, or returns "".
func inPath(name string, env []string) string {
	if strings.Contains(name, "/") {
		return existing(name)
	}
	path := defaultPath
	for _, entry := range slices.Backward(env) {
		if strings.HasPrefix(entry, "PATH=") {
			path = entry
			break
		}
	}
	for _, dir := range filepath.SplitList(strings.TrimPrefix(path, "PATH=")) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 && filepath.IsAbs(file) {
			return file
		}
	}
	return ""
}

// existing returns path if it is a regular file, otherwise "".
func existing(path string) string {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return path
}
