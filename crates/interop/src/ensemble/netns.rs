pub fn name(id: u8) -> String {
    format!("rookeeper-{id}")
}
