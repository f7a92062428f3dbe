//! What breaks, from its beginning to its end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::plan::{At, Fault};
use crate::world::World;

/// A round that makes no such write has the fault all the same, at last.
const WRITE: Duration = Duration::from_secs(4);

/// Waits for its moment, lets it happen, and ends it.
pub async fn run(world: &World, at: At, fault: &Fault) -> Result<()> {
    match at {
        At::After(time) => tokio::time::sleep(time).await,
        At::Write(number) => write(world, number).await,
    }
    happen(world, fault).await
}

/// Until the cloud has done this write and tells nobody.
async fn write(world: &World, number: u32) {
    let Some(cloud) = world.witness.cloud() else { return };
    let before = cloud.journal_len();
    cloud.hold_answer(number);
    let deadline = Instant::now() + WRITE;
    while cloud.journal_len() < before + number as usize && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn happen(world: &World, fault: &Fault) -> Result<()> {
    let server = |number: usize| &world.servers[number % world.servers.len()];
    match fault {
        Fault::KillServer { server: number, down } => {
            let _turn = server(*number).turn.lock().await;
            server(*number).kill()?;
            world.witness.heal();
            tokio::time::sleep(*down).await;
            server(*number).ensure(&world.pilot).await
        }
        Fault::EndServer { server: number } => {
            let _turn = server(*number).turn.lock().await;
            let status = server(*number).terminate().await;
            server(*number).ensure(&world.pilot).await?;
            let status = status?;
            if !status.success() {
                bail!("a server that was asked to end ended with {status}");
            }
            Ok(())
        }
        Fault::KillEngine { server: number } => {
            server(*number).kill_engine()?;
            world.witness.heal();
            Ok(())
        }
        Fault::PauseServer { server: number, time } => {
            let _turn = server(*number).turn.lock().await;
            server(*number).pause()?;
            world.witness.heal();
            tokio::time::sleep(*time).await;
            server(*number).wake()
        }
        Fault::RestartDatabase { mode } => {
            if let Some(postgres) = world.postgres.clone() {
                // Two restarts at once would not find each other's server.
                let _turn = world.database.lock().await;
                let mode = *mode;
                tokio::task::spawn_blocking(move || postgres.restart_as(mode)).await?;
            }
            Ok(())
        }
        Fault::PauseDatabase { time } => {
            let _turn = world.database.lock().await;
            world.pause_database(true)?;
            tokio::time::sleep(*time).await;
            world.pause_database(false)
        }
        Fault::RefuseWrites { time } => {
            let _turn = world.database.lock().await;
            world.refuse_writes(true).await?;
            tokio::time::sleep(*time).await;
            world.refuse_writes(false).await
        }
        Fault::KillMachine { which } => world.witness.kill_machine(*which),
        Fault::RemoveMachine { which } => world.witness.remove_machine(*which).await,
        Fault::LoseAnswers { time, .. }
        | Fault::SlowProvider { time, .. }
        | Fault::BusyProvider { time, .. }
        | Fault::CutOffProvider { time }
        | Fault::HangProvider { time } => {
            world.witness.suffer(fault);
            tokio::time::sleep(*time).await;
            world.witness.heal();
            Ok(())
        }
    }
}
