package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/cmd/internal/targets"

	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// clientFlags are the flags that say how steer authenticates itself, and which daemons it trusts.
type clientFlags struct {
	pki, ca, cert, key, pin       string
	user, passwordFile, tokenFile string
}

func (i *clientFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&i.pki, "pki", "", "read the CA and the client certificate from `DIR`, which steer pki or a daemon made")
	flags.StringVar(&i.ca, "ca", "", "trust daemons with a certificate of the CAs in `FILE` (default: the system's CAs)")
	flags.StringVar(&i.cert, "cert", "", "authenticate with the client certificate in `FILE`")
	flags.StringVar(&i.key, "key", "", "the key of the client certificate, in `FILE`")
	flags.StringVar(&i.pin, "pin", "", "trust only the daemon whose certificate has this `FINGERPRINT` (sha256:…)")
	flags.StringVar(&i.user, "user", "", "authenticate as the user `NAME`; steer asks for the password")
	flags.StringVar(&i.passwordFile, "password-file", "", "read the password from the first line of `FILE`")
	flags.StringVar(&i.tokenFile, "token-file", "", "authenticate with the token in `FILE`")
}

// load reads the files that the flags name. It asks for a password if there is a user without a password file.
func (i *clientFlags) load(ctx context.Context, stdin io.Reader, prompts io.Writer) (targets.ClientConfig, error) {
	id := targets.ClientConfig{PKI: i.pki, CA: i.ca, Cert: i.cert, Key: i.key, Pin: i.pin}
	var err error
	switch {
	case i.user != "" && i.tokenFile != "":
		err = errors.New("--user and --token-file cannot be combined; leave one out")
	case i.passwordFile != "" && i.user == "":
		err = errors.New("--password-file needs --user")
	case i.tokenFile != "":
		id.Claim.Token, err = readSecretFile(i.tokenFile)
	case i.passwordFile != "":
		id.Claim.User = i.user
		id.Claim.Password, err = readSecretFile(i.passwordFile)
	case i.user != "":
		id.Claim.User = i.user
		id.Claim.Password, err = promptPassword(ctx, stdin, prompts)
	}
	return id, err
}

// readSecretFile returns the first line of a file. It refuses a regular file that the group or other users can access.
func readSecretFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s: other users can read it; do chmod 600 on it", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, secrets.MaxPassword+2))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return "", fmt.Errorf("%s: the first line is empty", path)
	}
	return line, nil
}

// promptPassword asks for a password at the terminal. If stdin is not a terminal, it may contain the arguments of the
// command, so promptPassword returns an error and does not read it.
func promptPassword(ctx context.Context, stdin io.Reader, prompts io.Writer) (string, error) {
	f, ok := stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", errors.New("standard input is not a terminal, so steer cannot ask for the password; put it into a file and give --password-file")
	}
	return prompt(ctx, f, prompts, "Password: ")
}
