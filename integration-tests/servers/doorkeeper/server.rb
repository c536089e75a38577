# Doorkeeper in a Rails application of one file: clients, alice, and a database that is new with each start.
#
# server.rb PORT DATABASE; the secrets come as variables.

require "active_record/railtie"
require "action_controller/railtie"
require "doorkeeper"
require "rack/handler/webrick"

ENV["DATABASE_URL"] = "sqlite3:#{ARGV.fetch(1)}?timeout=10000"

class Application < Rails::Application
  config.eager_load = false
  config.hosts = nil
  config.log_level = :warn
  config.logger = Logger.new($stderr)
  config.secret_key_base = SecureRandom.hex(64)
end

class User < ActiveRecord::Base
end

Doorkeeper.configure do
  orm :active_record
  grant_flows %w[client_credentials password]
  optional_scopes :"orders:read", :"orders:write", :"payments:read"
  resource_owner_from_credentials do
    User.find_by(name: params[:username]) if params[:password] == ENV.fetch("ALICE_PASSWORD")
  end
  custom_access_token_expires_in { |context| 3 if context.client.name == "app-brief" }
  allow_token_introspection { |_token, client, _| client&.name == "gateway" }
  custom_introspection_response { |token, _| { sub: (token.resource_owner_id || token.application.uid).to_s } }
end

Application.initialize!
Application.routes.draw do
  use_doorkeeper
  get "up", to: ->(_) { [200, {}, []] }
end

ActiveRecord::Schema.verbose = false
ActiveRecord::Schema.define do
  create_table :users do |t|
    t.string :name, null: false
  end
  create_table :oauth_applications do |t|
    t.string :name, :uid, :secret, null: false
    t.text :redirect_uri
    t.string :scopes, null: false, default: ""
    t.boolean :confidential, null: false, default: true
    t.timestamps
  end
  create_table :oauth_access_grants do |t|
    t.references :resource_owner, :application, null: false
    t.string :token, null: false
    t.integer :expires_in, null: false
    t.text :redirect_uri, null: false
    t.datetime :created_at, null: false
    t.datetime :revoked_at
    t.string :scopes, null: false, default: ""
  end
  create_table :oauth_access_tokens do |t|
    t.references :resource_owner
    t.references :application, null: false
    t.string :token, null: false, index: { unique: true }
    t.string :refresh_token, index: { unique: true }
    t.integer :expires_in
    t.datetime :revoked_at
    t.datetime :created_at, null: false
    t.string :scopes
    t.string :previous_refresh_token, null: false, default: ""
  end
end

User.create!(name: "alice")
{ "app" => "APP_CLIENT_SECRET", "app-brief" => "APP_CLIENT_SECRET", "gateway" => "INTROSPECTION_CLIENT_SECRET" }.each do |name, secret|
  Doorkeeper::Application.create!(name: name, uid: name, secret: ENV.fetch(secret), redirect_uri: "https://app.example.com/callback")
end

Rack::Handler::WEBrick.run(Application, Host: "127.0.0.1", Port: ARGV.fetch(0), AccessLog: [], Logger: WEBrick::Log.new($stderr, WEBrick::Log::WARN))
