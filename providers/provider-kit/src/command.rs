//! A command in an instance whose provider starts programs and does little more: it cannot end them, and does not tell a program
//! that failed from one that was never begun.
//!
//! A small shell around the command does both. It needs `sh`, `timeout` and `id` (coreutils) in the instance. The first line that it
//! complains is a word of this one command and says that it is begun; what the shell itself has to say begins with that word,
//! so that nothing the command writes is taken for it.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use provider_api::Captured;

/// Begins the command in the place of a shell, which has said so before.
const BEGIN: &str = "echo \"$0\" >&2; exec \"$@\"";
/// The process that the provider has started stays the leader of the command's group: `timeout` makes itself one, if it is none.
/// Beside it somebody waits for the end of the input, which is held open by who waits for the answer. When the leader is gone
/// by then, the command has ended by itself, and what it left in the background is the instance's. What has left the group and
/// its session is found by its environment.
const HELD: &str = r#"limit=$1; shift
exec 3<&0 </dev/null
(trap '' TERM INT HUP
read -r _ <&3
kill -0 $$ || exit 0
trap 'kill -KILL -$$' EXIT
kill -TERM -$$
sleep 2
for one in $(grep -ls "$MARK=$0" /proc/[0-9]*/environ); do
one=${one#/proc/}
kill -KILL "${one%/environ}"
done) >/dev/null 2>&1 &
exec 3<&-
export $MARK="$0"
exec timeout -s KILL "$limit" sh -c "$BEGIN" "$0" "$@""#;
/// Asked to end when its time is over, and killed a second later. Who ends it stays who the shell is: a command may become somebody
/// whom its own user cannot end.
const LIMITED: &str = r#"limit=$1; shift
as=
[ "$(id -u)" != 0 ] || as="$USER"
exec timeout -k 1 "$limit" $as sh -c "$BEGIN" "$0" "$@" </dev/null"#;
/// So much is looked at for what the shell says.
const HEAD: usize = 8 * 1024;

/// The variable by which all that a command has begun is known, whatever it has become.
pub const MARK: &str = "PILOT_EXEC";

/// A word of one command, which no other has.
pub fn word() -> String {
    // The standard library's maps begin with something random.
    format!("pilot-{:016x}", RandomState::new().build_hasher().finish())
}

/// A command with its shell.
pub struct Wrapped {
    word: String,
    /// What the provider starts, word by word.
    pub words: Vec<String>,
}

impl Wrapped {
    /// It is asked to end, with its group, when its input ends, and killed two seconds later; after `limit` it is killed whatever
    /// its input does. It has no input itself.
    pub fn held(command: &[String], limit: Duration) -> Self {
        Self::with(HELD, command, limit)
    }

    /// It is asked to end after `limit`, as [`ENDED`] or [`KILLED`] tells, and killed a second later. Where the provider starts
    /// programs as root it becomes this user first, in the group of the same number and no other, with `setpriv` (util-linux).
    pub fn limited(command: &[String], limit: Duration, user: Option<u32>) -> Self {
        let changed = user.map(|user| format!("setpriv --reuid={user} --regid={user} --clear-groups"));
        Self::with(&LIMITED.replace("$USER", &changed.unwrap_or_default()), command, limit)
    }

    fn with(script: &str, command: &[String], limit: Duration) -> Self {
        let word = word();
        let seconds = limit.as_secs_f64().ceil().max(1.0) as u64;
        let script = script.replace("\"$BEGIN\"", &format!("'{BEGIN}'")).replace("$MARK", MARK);
        let mut words = vec!["sh".to_owned(), "-c".to_owned(), script, word.clone(), seconds.to_string()];
        words.extend(command.iter().cloned());
        Self { word, words }
    }

    /// For what the provider gives of its stderr.
    pub fn complaints(&self) -> Complaints {
        Complaints {
            word: self.word.clone(),
            head: Some(Vec::new()),
            is_begun: false,
            rest: Captured::default(),
        }
    }
}

/// The exit code of what ended when it was asked to, its time being over.
pub const ENDED: i32 = contracts::exec::TIMED_OUT;
/// The exit code of what was killed.
pub const KILLED: i32 = 128 + 9;

/// What a wrapped command complained, and its shell.
pub struct Complaints {
    word: String,
    /// Until it is known what the shell has said.
    head: Option<Vec<u8>>,
    is_begun: bool,
    rest: Captured,
}

impl Complaints {
    /// What came next.
    pub fn add(&mut self, bytes: &[u8]) {
        match &mut self.head {
            None => self.rest.add(bytes),
            Some(head) => {
                head.extend_from_slice(bytes);
                if head.len() > HEAD {
                    self.settle();
                }
            }
        }
    }

    /// What the command itself complained, or why it was not begun.
    pub fn finish(mut self) -> Result<Captured, String> {
        self.settle();
        if self.is_begun { Ok(self.rest) } else { Err(String::from_utf8_lossy(&self.rest).trim().to_owned()) }
    }

    fn settle(&mut self) {
        let Some(head) = self.head.take() else { return };
        let begun = format!("{}\n", self.word);
        let rest = head.strip_prefix(begun.as_bytes());
        self.is_begun = rest.is_some();
        self.rest.add(self.of_the_shell(rest.unwrap_or(&head)));
    }

    /// Without who says it, and in which line: `x: not found`.
    fn of_the_shell<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let Some(text) = text.strip_prefix(format!("{}: ", self.word).as_bytes()) else { return text };
        let text = text.strip_prefix(b"line ").unwrap_or(text);
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = text.get(digits..).and_then(|rest| rest.strip_prefix(b": ")).unwrap_or(text);
        text.strip_prefix(b"exec: ").unwrap_or(text)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
    use std::process::{Child, Command, Stdio};
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    /// As a provider starts it, with an input that is held open.
    fn start(wrapped: &Wrapped) -> Child {
        let mut command = Command::new(&wrapped.words[0]);
        command.args(&wrapped.words[1..]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Its exit code, its stdout, and what it complained.
    fn ended(wrapped: &Wrapped, mut child: Child) -> (i32, String, Result<String, String>) {
        let (mut said, mut complained) = (String::new(), Vec::new());
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        child.stderr.take().unwrap().read_to_end(&mut complained).unwrap();
        let mut complaints = wrapped.complaints();
        complained.iter().for_each(|byte| complaints.add(&[*byte]));
        let status = child.wait().unwrap();
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
        let complaints = complaints.finish().map(|text| String::from_utf8_lossy(&text).into_owned());
        (code, said, complaints)
    }

    fn run(command: &[&str]) -> (i32, String, Result<String, String>) {
        let mut all = Vec::new();
        for wrapped in [Wrapped::held(&words(command), LONG), Wrapped::limited(&words(command), LONG, None)] {
            all.push(ended(&wrapped, start(&wrapped)));
        }
        assert_eq!(all[0], all[1], "both ways are the same for {command:?}");
        all.remove(0)
    }

    #[test]
    fn a_command_is_as_if_no_shell_was_around_it() {
        let said = |text: &str| text.to_owned();
        assert_eq!(
            run(&["echo", "two  words", "$HOME", "'"]),
            (0, said("two  words $HOME '\n"), Ok(said("")))
        );
        let script = "echo out; echo oops >&2; cat; exit 7";
        assert_eq!(run(&["sh", "-c", script]), (7, said("out\n"), Ok(said("oops\n"))));
        assert_eq!(run(&["sh", "-c", "kill -9 $$"]).0, KILLED);
        assert_eq!(run(&["sh", "-c", "trap"]).1, "", "no signal is ignored that was not before");
    }

    #[test]
    fn a_program_that_is_missing_or_may_not_be_run_is_named_and_the_shell_is_not() {
        for (program, code) in [("no-such-program", 127), ("/no/such", 127), ("/etc", 126), ("cd", 127)] {
            let (left, said, complained) = run(&[program]);
            let complained = complained.unwrap();
            assert_eq!((left, said.as_str()), (code, ""), "{complained}");
            assert!(complained.starts_with(&format!("{program}: ")), "{complained}");
            assert!(!complained.contains("exec") && !complained.contains("pilot"), "{complained}");
        }
    }

    #[test]
    fn what_was_never_begun_says_why() {
        let wrapped = Wrapped::held(&words(&["true"]), LONG);
        let told = |text: &str| {
            let mut complaints = wrapped.complaints();
            complaints.add(text.replace("WORD", &wrapped.word).as_bytes());
            complaints.finish().unwrap_err()
        };
        assert_eq!(told("WORD: 7: Cannot fork\n"), "Cannot fork");
        assert_eq!(told("WORD: line 9: exec: timeout: not found\n"), "timeout: not found");
        let fork = "timeout: fork system call failed: Resource temporarily unavailable";
        assert_eq!(told(&format!("{fork}\n")), fork);
        assert_eq!(told(""), "");
    }

    /// Processes that sleep for so many seconds.
    fn sleepers(seconds: &str) -> usize {
        let line = format!("sleep\0{seconds}\0").into_bytes();
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        all.filter(|one| std::fs::read(one.path().join("cmdline")).is_ok_and(|read| read == line)).count()
    }

    #[track_caller]
    fn eventually(what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_so() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_end_of_its_input_ends_a_command_with_its_group_and_also_one_that_does_not_want_to() {
        let seconds = format!("71{}", std::process::id());
        for refuses in ["", "trap '' TERM; "] {
            let elsewhere = format!("setsid sleep {seconds} > /dev/null 2>&1 &");
            let script = format!("{refuses}{elsewhere} echo up; sleep {seconds} & sleep {seconds}; true");
            let wrapped = Wrapped::held(&words(&["sh", "-c", &script]), LONG);
            let mut child = start(&wrapped);
            eventually("it sleeps", || sleepers(&seconds) == 3);
            drop(child.stdin.take());
            let (code, said, _) = ended(&wrapped, child);
            assert_eq!(said, "up\n");
            assert_eq!(code, if refuses.is_empty() { 128 + 15 } else { KILLED });
            eventually("nothing of it is left", || sleepers(&seconds) == 0);
        }
    }

    #[test]
    fn what_a_command_leaves_in_the_background_goes_on_when_its_input_ends_later() {
        let seconds = format!("72{}", std::process::id());
        let script = format!("sleep {seconds} > /dev/null 2>&1 & echo $!");
        let wrapped = Wrapped::held(&words(&["sh", "-c", &script]), LONG);
        let mut child = start(&wrapped);
        let input = child.stdin.take();
        let (code, pid, _) = ended(&wrapped, child);
        assert_eq!(code, 0);
        drop(input);
        let waits = || {
            let all = std::fs::read_dir("/proc").unwrap().flatten();
            let read =
                |one: &std::fs::DirEntry| std::fs::read(one.path().join("cmdline")).unwrap_or_default();
            all.filter(|one| String::from_utf8_lossy(&read(one)).contains(&wrapped.word)).count()
        };
        eventually("nobody waits any more", || waits() == 0);
        assert_eq!(sleepers(&seconds), 1);
        Command::new("kill").arg(pid.trim()).status().unwrap();
    }

    #[test]
    fn a_limit_ends_it_and_tells_that() {
        let second = Duration::from_secs(1);
        let limited = Wrapped::limited(&words(&["sh", "-c", "echo up; sleep 60"]), second, None);
        assert_eq!(ended(&limited, start(&limited)), (ENDED, "up\n".to_owned(), Ok(String::new())));
        let stubborn =
            Wrapped::limited(&words(&["sh", "-c", "trap '' TERM; sleep 60; sleep 60"]), second, None);
        assert_eq!(ended(&stubborn, start(&stubborn)).0, KILLED);
        let held = Wrapped::held(&words(&["sleep", "60"]), second);
        assert_eq!(ended(&held, start(&held)).0, KILLED, "also when its input never ends");
    }

    #[test]
    fn a_command_that_root_starts_becomes_the_user_and_no_other_user_becomes_somebody_else() {
        let own = Command::new("id").arg("-u").output().unwrap().stdout;
        let own = String::from_utf8(own).unwrap().trim().to_owned();
        let script = "id -u; id -G; cat /proc/self/status | grep CapEff";
        let wrapped = Wrapped::limited(&words(&["sh", "-c", script]), LONG, Some(1000));
        let (code, said, complained) = ended(&wrapped, start(&wrapped));
        assert_eq!((code, complained), (0, Ok(String::new())));
        match own.as_str() {
            "0" => assert_eq!(said, "1000\n1000\nCapEff:\t0000000000000000\n"),
            own => assert_eq!(said.lines().next(), Some(own)),
        }
        let stubborn = ["sh", "-c", "trap '' TERM; sleep 60; sleep 60"];
        let stubborn = Wrapped::limited(&words(&stubborn), Duration::from_secs(1), Some(1000));
        assert_eq!(ended(&stubborn, start(&stubborn)).0, KILLED);
    }
}
