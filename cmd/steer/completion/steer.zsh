#compdef %[1]s
#
# zsh completion for %[1]s. The words of the command line are given to %[1]s without their quotes, and never
# evaluated.

_%[1]s() {
    local program=%[1]s
    local -a lines open closed
    [[ $words[1] == */* ]] && program=${${(Q)words[1]}/#\~\//$HOME/}
    lines=("${(@f)$(command "$program" __offer zsh "${(@Q)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
    if [[ $lines[1] == files ]]; then
        compset -P '--*='
        _files
        return
    fi
    open=("${(@)${(@M)lines[2,-1]:#=*}#=}")     # a value follows at once
    closed=("${(@)${(@M)lines[2,-1]:#-*}#-}")
    _describe %[1]s open -S '' -- closed
}

if [[ $funcstack[1] == _%[1]s ]]; then
    _%[1]s "$@"
else
    compdef _%[1]s %[1]s
fi
