//! What the three kinds of vectors have in common: their world, and how one is asked.

use anyhow::Result;

use super::{
    data::Case,
    simulator::{Simulator, Who},
    wire::Answer,
    world::World,
};

const WORLD: &str = include_str!("vectors.toml");
const ROOT: &str = "root@pam";

/// The world of the vectors, loaded anew only when something may have changed it.
pub struct Vectors {
    pub world: World,
    is_fresh: bool,
}

impl Vectors {
    pub fn new(user_cfg: &str) -> Result<Self> {
        let mut world = World::read(WORLD)?;
        world.set_access(user_cfg);
        world.admit(&Self::root());
        Ok(Self { world, is_fresh: false })
    }

    /// Who asks where a vector does not say.
    pub fn root() -> Who {
        Who::User(ROOT.to_owned(), None)
    }

    /// Sends a vector's request to this world.
    pub fn ask(&mut self, simulator: &mut Simulator, who: &Who, case: &Case) -> Result<Answer> {
        let access = self.world.access().len();
        self.world.admit(who);
        if !self.is_fresh || self.world.access().len() != access {
            simulator.load(&self.world.json())?;
        }
        let answer = simulator.ask(who, case.method(), case.path(), &case.value["params"]);
        self.is_fresh = case.method() == "GET" || answer.as_ref().is_ok_and(|answer| answer.status >= 400);
        answer
    }
}

/// For a report: ` as user@realm`.
pub fn as_user(case: &Case) -> String {
    case.text("user").map_or_else(String::new, |user| format!(" as {user}"))
}
