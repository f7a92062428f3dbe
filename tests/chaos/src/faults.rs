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
    let Some(cloud) = &world.cloud else { return };
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
            heal_cloud(world);
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
            heal_cloud(world);
            Ok(())
        }
        Fault::PauseServer { server: number, time } => {
            let _turn = server(*number).turn.lock().await;
            server(*number).pause()?;
            heal_cloud(world);
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
        Fault::KillMachine { which } => world.witness.kill_machine(*which).map(drop),
        Fault::RemoveMachine { which } => world.witness.remove_machine(*which).map(drop),
        Fault::LoseAnswers { time, .. }
        | Fault::SlowProvider { time, .. }
        | Fault::BusyProvider { time, .. }
        | Fault::CutOffProvider { time }
        | Fault::HangProvider { time } => {
            break_cloud(world, fault);
            tokio::time::sleep(*time).await;
            heal_cloud(world);
            Ok(())
        }
    }
}

fn break_cloud(world: &World, fault: &Fault) {
    let Some(cloud) = &world.cloud else { return };
    match fault {
        Fault::LoseAnswers { percent, seed, .. } => cloud.lose_answers(*percent, *seed),
        Fault::SlowProvider { by, .. } => cloud.become_slow(*by),
        Fault::BusyProvider { percent, seed, .. } => {
            cloud.become_busy(*percent, Duration::from_secs(1), *seed);
        }
        Fault::CutOffProvider { .. } => cloud.become_unreachable(),
        _ => cloud.hang(),
    }
}

fn heal_cloud(world: &World) {
    if let Some(cloud) = &world.cloud {
        cloud.heal();
    }
}
