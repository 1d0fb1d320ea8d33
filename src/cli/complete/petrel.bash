# petrel completion for bash. In ~/.bashrc: source <(petrel completion bash)
_petrel() {
  local line word prefix directive=none
  local -a words
  # Split by blanks alone: readline's own words end at = and : as well.
  read -ra words <<<"${COMP_LINE:0:COMP_POINT}"
  [[ ${COMP_LINE:0:COMP_POINT} == *[[:blank:]] ]] && words+=('')
  word=${words[${#words[@]}-1]}
  prefix=
  [[ $COMP_WORDBREAKS == *[=:]* && $word == *[=:]* ]] && prefix=${word%"${word##*[=:]}"}
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :*) directive=${line#:} ;;
      *) line=${line%%$'\t'*}; COMPREPLY+=("${line#"$prefix"}") ;;
    esac
  done < <("${words[0]/#\~/$HOME}" __complete "${words[@]:1}" 2>/dev/null)
  word=${word#"$prefix"}
  case $directive in
    files) compopt -o filenames 2>/dev/null; COMPREPLY=(); while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$word") ;;
    folders) compopt -o filenames 2>/dev/null; COMPREPLY=(); while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -d -- "$word") ;;
  esac
  [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
  return 0
}
complete -F _petrel petrel ./petrel
