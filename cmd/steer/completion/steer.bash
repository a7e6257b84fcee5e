# bash completion for %[1]s -*- shell-script -*-
#
# The words of the command line are given to %[1]s as they are, and never evaluated here: %[1]s itself
# removes the quotes, and returns the lines of COMPREPLY.

_%[1]s_complete() {
    local program=%[1]s line
    local -a lines=()
    COMPREPLY=()
    case ${COMP_WORDS[0]} in
    '~/'*) program=$HOME/${COMP_WORDS[0]#*/} ;;
    */*) program=${COMP_WORDS[0]} ;;
    esac
    while IFS= read -r line; do
        lines+=("$line")
    done < <(command "$program" __offer bash "$COMP_TYPE" "${COLUMNS:-80}" "$COMP_WORDBREAKS" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    case ${lines[0]-} in
    files) return ;; # readline completes the names of files, and quotes them
    nospace) compopt -o nospace 2>/dev/null ;;
    esac
    compopt +o default 2>/dev/null
    COMPREPLY=("${lines[@]:1}")
}

complete -o default -F _%[1]s_complete %[1]s
